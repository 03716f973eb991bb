#include <fmt/format.h>

#include <charconv>
#include <memory>

#include "entk/program/commands.h"
#include "entk/program/common_options.h"
#include "entk/program/console.h"
#include "entk/base/device.h"
#include "entk/base/threads.h"
#include "entk/tools/bench.h"
#include "entk/tools/bench_growth.h"
#include "entk/config/run_config.h"
#include "entk/io/atomic_file.h"
#include "entk/io/strict_json.h"

namespace entk::app {

namespace {

/// Figure 1's size, then each of n, d, m a quarter and four times as large.
const std::vector<std::string> default_sizes = {"1000x100x10000", "250x100x10000", "4000x100x10000", "1000x25x10000",
                                                "1000x400x10000", "1000x100x2500", "1000x100x40000"};

struct CommandOptions {
  entk::BenchOptions bench;
  std::vector<std::string> sizes = default_sizes, pieces = two_layer_pieces();
  std::string dtype = "float32", device = "cpu", kernel = "automatic", out, growth;
  bool json = false;
};

BenchSize read_size(const std::string& text) {
  const auto fail = [&] {
    throw InputError(fmt::format(
        "--sizes: expected n x d x m as 1000x100x10000, whole numbers of at least 2 with m even, got '{}'", text));
  };
  std::int64_t numbers[3] = {};
  const char* at = text.data();
  const char* end = at + text.size();
  for (int i = 0; i < 3; ++i) {
    const auto [next, error] = std::from_chars(at, end, numbers[i]);
    if (error != std::errc() || numbers[i] < 2 || numbers[i] > 1000000000) fail();
    if (i < 2 ? next == end || *next != 'x' : next != end) fail();
    at = next + 1;
  }
  if (numbers[2] % 2) fail();
  return {numbers[0], numbers[1], numbers[2]};
}

ExitCode draw(const std::string& numbers) {
  const auto results = draw_growth(numbers);
  if (!results.files.notice.empty()) say(results.files.notice);
  fmt::print("{}\nplot: {}\n", to_text(results.slopes),
             results.files.svg.empty() ? results.files.script.string() : results.files.svg.string());
  return ExitCode::ok;
}

ExitCode bench(CommandOptions o) {
  if (!o.growth.empty()) return draw(o.growth);
  for (const auto& text : o.sizes) o.bench.sizes.push_back(read_size(text));
  o.bench.pieces = o.pieces;
  o.bench.dtype = from_word<at::ScalarType>(o.dtype, "--dtype");
  o.bench.device = pick_device(o.device);
  o.bench.kernel = from_word<KernelMode>(o.kernel, "--kernel");
  if (o.bench.threads.empty()) o.bench.threads = {threads()};
  check_new_file(o.out);
  const auto result = run_bench(o.bench);
  const auto json = dump_json(bench_json(result, o.bench));
  if (!o.out.empty()) write_file_atomically(o.out, json);
  fmt::print("{}", o.json ? json : to_text(bench_table(result)) + "\n");
  return ExitCode::ok;
}

}  // namespace

void add_bench(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand("bench", "Time each piece of the work against this machine's measured peaks");
  const auto o = std::make_shared<CommandOptions>();
  command
      ->add_option("--sizes", o->sizes,
                   "n x d x m of each, as 1000x100x10000,4000x100x10000 [Figure 1's, and each of n, d, m a quarter and "
                   "four times]")
      ->delimiter(',')
      ->type_name("SIZES");
  command
      ->add_option("--pieces", o->pieces,
                   "features, projector, forward, pull-back, step, evaluation [all of these], mlp-step, mlp-ntk")
      ->delimiter(',')
      ->check(CLI::IsMember(bench_pieces()))
      ->type_name("NAMES");
  command->add_option("--threads", o->bench.threads, "numbers of threads, one after another, as 1,2 [all processors]")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096))
      ->type_name("COUNTS");
  command->add_option("--seconds", o->bench.seconds, "spent on each piece at least [0.5]")
      ->check(CLI::Range(0.0, 1e6))
      ->type_name("S");
  command->add_option("--test-samples", o->bench.test_samples, "points of `evaluation` [10000]")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000000}))
      ->type_name("N");
  command->add_option("--kernel", o->kernel, "automatic, keep, recompute or reference [automatic]")
      ->check(CLI::IsMember(words<KernelMode>()));
  command->add_option("--dtype", o->dtype, "float32 or float64 [float32]")
      ->check(CLI::IsMember(words<at::ScalarType>()));
  command->add_option("--device", o->device, "cpu, cuda, cuda:1 or auto [cpu]")->type_name("NAME");
  command->add_option("--out", o->out, "write the JSON to this file too")->type_name("FILE");
  command
      ->add_option("--growth", o->growth,
                   "draw the results.json of bench/compare.py --growth, beside it, and fit its slopes; times nothing")
      ->type_name("FILE");
  command->add_flag("--json", o->json, "JSON instead of the table");
  command->callback([o, &program] { program.action = [o] { return bench(*o); }; });
}

}  // namespace entk::app
