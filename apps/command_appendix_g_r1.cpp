#include <fmt/format.h>

#include "appendix_g.h"
#include "entk/base/threads.h"
#include "entk/experiments/r1_study.h"
#include "entk/io/strict_json.h"
#include "run_commands.h"

namespace entk::app {

namespace {

const Presets presets = {{"quick", "r1-quick"}, {"published", "r1"}};

ExitCode run_r1(const AppendixOptions& o, const std::string& command_line) {
  if (!o.digits.empty() || !o.mnist.empty() || !o.cifar10.empty()) {
    throw InputError("--digits, --mnist and --cifar10 go with --study taylor; --study r1 draws its own data");
  }
  const auto [json, source] = resolve_json(o.common, presets, to_json(RunConfig{}));
  const auto config = read_r1_study_config(json, source, o.common.catalogue);
  auto plan = plan_r1_study(config, source);
  if (o.common.print_config) {
    fmt::print("{}", dump_json(to_json(config)));
    return ExitCode::ok;
  }
  set_threads(static_cast<int>(plan[0].config.threads));
  check_before_work(plan, o.common.force);
  const auto folder = open_study(o.common, "appendix-g", to_json(config), command_line);
  return take_and_show("appendix-g --study r1", o.common, command_line, folder, plan,
                       [&] { return write_r1_results(folder.path(), config, plan); });
}

}  // namespace

AppendixStudy r1_appendix_study() { return {"r1", "R1 beside R3, R1's weight swept", r1_study_config_keys(), run_r1}; }

}  // namespace entk::app
