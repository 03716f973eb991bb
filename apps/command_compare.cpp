#include <fmt/format.h>

#include <memory>

#include "entk/base/threads.h"
#include "entk/experiments/compare.h"
#include "entk/io/strict_json.h"
#include "run_commands.h"

namespace entk::app {

namespace {

const Presets& presets() {
  static const Presets all = {{"quick", "compare-quick"}, {"full", "compare"}, {"cubic", "compare-cubic"},
                              {"orders-quick", "orders-quick"}, {"orders", "orders"}};
  return all;
}

nlohmann::json standard_config() {
  auto json = to_json(RunConfig{});
  json["models"] = nlohmann::json::array();
  return json;
}

ExitCode compare(const CommonOptions& o, const std::string& command_line) {
  const auto [json, source] = resolve_json(o, presets(), standard_config());
  const auto config = read_compare_config(json, source, o.catalogue);
  auto plan = plan_compare(config, source);
  if (o.print_config) {
    fmt::print("{}", dump_json(to_json(config)));
    return ExitCode::ok;
  }
  set_threads(static_cast<int>(plan[0].config.threads));
  check_before_work(plan, o.force);
  const auto folder = open_study(o, "compare", to_json(config), command_line);
  return take_and_show("compare", o, command_line, folder, plan,
                       [&] { return write_compare_results(folder.path(), config, plan); });
}

}  // namespace

void add_compare(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand(
      "compare", "NTK, quadratic NTK, f_L + f_Q with and without regularizers and the network, on one data set");
  const auto options = std::make_shared<CommonOptions>();
  add_study_options(*command, *options, presets(), compare_config_keys(), program);
  add_force(*command, *options);
  command->callback([options, &program] {
    program.action = [options, &program] { return compare(*options, program.command_line); };
  });
}

}  // namespace entk::app
