#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "entk/program/commands.h"
#include "entk/program/common_options.h"
#include "entk/program/console.h"
#include "entk/base/threads.h"
#include "entk/tools/compare_devices.h"
#include "entk/io/strict_json.h"

namespace entk::app {

namespace {

struct CompareOptions {
  std::string mode, device = "auto", write_reference, against, config;
  std::vector<std::string> set;
  std::vector<int> thread_counts = {1, 2};
  bool json = false, quiet = false;
  Catalogue catalogue;
};

RunConfig config_of(const CompareOptions& o) {
  CommonOptions common;
  common.config = o.config;
  common.set = o.set;
  const Presets presets = {{"compare-devices", "compare-devices"}};
  const auto [json, source] = resolve_json(common, presets, to_json(RunConfig{}));
  const auto config = read_run_config(json, source, o.catalogue);
  pick_device(config.device);
  set_threads(static_cast<int>(config.threads));
  return config;
}

at::Tensor as_bytes(const std::string& text) {
  auto bytes = at::empty({static_cast<std::int64_t>(text.size())}, at::kByte);
  std::copy(text.begin(), text.end(), bytes.mutable_data_ptr<std::uint8_t>());
  return bytes;
}

/// What decides the numbers, but for the device.
std::string fingerprint(const RunConfig& config) {
  auto json = to_json(config);
  json.erase("device");
  json.erase("threads");
  return json.dump();
}

constexpr int twins = 8;
const char* const spread = "spread.";  // prefix of the tolerances in a reference file

ExitCode write_reference(const CompareOptions& o, const RunConfig& config) {
  check_new_file(o.write_reference, {}, "--write-reference");
  auto q = comparison_quantities(config, pick_device(o.device));
  const auto tolerances = config.dtype == at::kDouble
                              ? float64_tolerances()
                              : twin_tolerances(config, comparison_quantities(config, c10::kCPU), twins);
  TensorDict file = q;
  for (const auto& [name, t] : tolerances) file[spread + name] = at::tensor({t.first, t.second}, at::kDouble);
  file["config"] = as_bytes(fingerprint(config));
  write_pt(o.write_reference, file);
  if (!o.quiet)
    say(fmt::format("wrote {}; check it elsewhere with: entk compare-devices --against {}", o.write_reference,
                    o.write_reference));
  return ExitCode::ok;
}

ExitCode show(const CompareOptions& o, const std::string& what, const std::vector<Comparison>& comparisons) {
  const bool ok = std::all_of(comparisons.begin(), comparisons.end(), [](const Comparison& c) { return c.within(); });
  if (o.json) {
    nlohmann::json json = {{"compared", what}, {"within", ok}};
    for (const auto& c : comparisons) {
      const auto number = [](double v) { return std::isfinite(v) ? nlohmann::json(v) : nlohmann::json(); };
      json["quantities"][c.quantity] = {{"percentile99", number(c.percentile99)},
                                        {"maximum", number(c.maximum)},
                                        {"tolerance99", c.tolerance99},
                                        {"tolerance_maximum", c.tolerance_maximum},
                                        {"within", c.within()}};
    }
    fmt::print("{}", dump_json(json));
  } else {
    fmt::print("{}\n{}{}\n", what, to_text(comparison_table(comparisons)),
               ok ? "all within tolerance" : "OUTSIDE tolerance");
  }
  return ok ? ExitCode::ok : ExitCode::check_failed;
}

ExitCode compare(const CompareOptions& o) {
  auto config = config_of(o);
  if (!o.write_reference.empty()) return write_reference(o, config);
  if (!o.against.empty()) {
    auto file = read_pt(o.against);
    const auto stored = file.find("config");
    const auto wanted = as_bytes(fingerprint(config));
    if (stored == file.end() || !at::equal(stored->second, wanted)) {
      throw InputError(fmt::format("{}: it was written for another configuration than this one", o.against));
    }
    Tolerances tolerances;
    TensorDict reference;
    for (const auto& [name, value] : file) {
      if (name.rfind(spread, 0) == 0) {
        tolerances[name.substr(7)] = {value[0].item<double>(), value[1].item<double>()};
      } else if (name != "config") {
        reference[name] = value;
      }
    }
    const auto device = pick_device(o.device);
    return show(o, fmt::format("{} here against {}", device.str(), o.against),
                compare_quantities(reference, comparison_quantities(config, device), tolerances));
  }
  const bool cuda = build_info().cuda_devices > 0;
  const auto mode = !o.mode.empty() ? o.mode : cuda ? "devices" : "precision";
  if (mode == "precision") {
    auto exact = config;
    exact.dtype = at::kDouble;
    config.dtype = at::kFloat;
    const auto device = pick_device(o.device);
    return show(o, fmt::format("float32 against float64 on {}", device.str()),
                compare_quantities(comparison_quantities(exact, device), comparison_quantities(config, device),
                                   precision_tolerances()));
  }
  if (mode == "threads") {
    const auto run = [&](int count) {
      set_threads(count);
      return comparison_quantities(config, c10::kCPU);
    };
    return show(o, fmt::format("{} against {} threads on the CPU", o.thread_counts.at(0), o.thread_counts.at(1)),
                compare_quantities(run(o.thread_counts.at(0)), run(o.thread_counts.at(1)), identical_tolerances()));
  }
  const auto device = pick_device(o.device == "auto" ? "cuda" : o.device);
  const auto on_cpu = comparison_quantities(config, c10::kCPU);
  const auto tolerances = config.dtype == at::kDouble ? float64_tolerances() : twin_tolerances(config, on_cpu, twins);
  return show(o, fmt::format("cpu against {} in {}", device.str(), word_of(config.dtype)),
              compare_quantities(on_cpu, comparison_quantities(config, device), tolerances));
}

}  // namespace

void add_compare_devices(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand("compare-devices",
                                     "One short run on two devices, in two precisions or with two numbers of threads");
  const auto o = std::make_shared<CompareOptions>();
  o->catalogue = program.catalogue;
  command->add_option("--mode", o->mode, "devices, precision or threads [devices where there is a GPU, else precision]")
      ->check(CLI::IsMember({"devices", "precision", "threads"}));
  command->add_option("--device", o->device, "the device to compare with the CPU, or the one to run on [auto]")
      ->type_name("NAME");
  command->add_option("--thread-counts", o->thread_counts, "for --mode threads [1,2]")
      ->delimiter(',')
      ->expected(2)
      ->check(CLI::Range(1, 4096));
  command->add_option("--config", o->config, "JSON file over the preset compare-devices")->type_name("FILE");
  command->add_option("--set", o->set, "one key, as train.steps=10; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--write-reference", o->write_reference, "write this machine's results for another to check")
      ->type_name("FILE");
  command->add_option("--against", o->against, "check against a file of --write-reference")->type_name("FILE");
  command->add_flag("--json", o->json, "results as JSON");
  command->add_flag("--quiet", o->quiet, "no talk");
  command->callback([o, &program] { program.action = [o] { return compare(*o); }; });
}

}  // namespace entk::app
