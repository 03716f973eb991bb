// A kernel of a configuration, without training.
#include <fmt/format.h>

#include <memory>

#include "entk/program/commands.h"
#include "entk/program/common_options.h"
#include "entk/program/signals.h"
#include "entk/program/console.h"
#include "entk/base/device.h"
#include "entk/base/threads.h"
#include "entk/runs/memory.h"
#include "entk/runs/results.h"
#include "entk/runs/run.h"
#include "entk/tools/kernel.h"
#include "entk/io/csv.h"
#include "entk/io/strict_json.h"
#include "entk/program/results_text.h"

namespace entk::app {

namespace {

void write_results(const RunFolder& folder, const KernelResult& result) {
  write_pt(folder.file("kernel.pt"), result.tensors);
  CsvWriter eigenvalues(folder.file("eigenvalues.csv"), {"index", "eigenvalue"});
  const auto values = result.tensors.at("eigenvalues").cpu();
  for (std::int64_t i = 0; i < values.size(0); ++i) {
    eigenvalues.row({static_cast<double>(i + 1), values[i].item<double>()});
  }
  eigenvalues.sync();
  folder.write_json("summary.json", result.numbers);
}

ExitCode kernel(const CommonOptions& o, const std::string& command_line) {
  auto [json, source] = resolve_json(o, {}, to_json(RunConfig{}));
  if (!json.contains("model")) json["model"] = nlohmann::json::object();
  if (json["model"].is_object() && !json["model"].contains("kernel")) json["model"]["kernel"] = "ntk";
  auto config = read_run_config(json, source, o.catalogue);
  if (config.model.kernel == ModelKernel::none)
    throw InputError(source + ": model.kernel: expected a kernel, got none");
  if (o.print_config) {
    fmt::print("{}", dump_json(to_json(config)));
    return ExitCode::ok;
  }
  check_new_file(o.out);
  const auto device = pick_device(config.device);
  set_threads(static_cast<int>(config.threads));
  config = with_file_sizes(config);
  if (!o.force) check_memory(config, device);
  begins_anew();
  const auto folder = open_folder(o, "kernel");
  folder.write_json("config.json", to_json(config));
  folder.write_text("command.txt", command_line + "\n");
  folder.write_json("environment.json", environment(device));
  folder.set_status(RunState::running, 0);
  KernelResult result;
  try {
    result = measure_kernel(config, device);
    write_results(folder, result);
  } catch (const std::exception& e) {
    folder.set_status(RunState::failed, 0, e.what());
    throw;
  }
  folder.set_status(RunState::done, 0);
  Results shown;
  shown.notices = o.quiet ? std::vector<std::string>{} : result.notices;
  shown.table.columns = {Column("quantity"), Column("value")};
  for (const auto& [key, value] : result.numbers.items()) {
    if (value.is_number()) shown.table.rows.push_back({key, value.get<double>()});
  }
  for (const char* file : {"kernel.pt", "eigenvalues.csv", "summary.json"}) shown.files.push_back(folder.file(file));
  auto summary = result.numbers;
  summary["folder"] = folder.path().string();
  show_results(o, shown, {}, folder.path(), summary);
  return ExitCode::ok;
}

}  // namespace

void add_kernel(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand(
      "kernel", "A kernel, its eigenvalues and the regression on it: model.kernel ntk, ntk_infinite, quadratic_ntk");
  const auto options = std::make_shared<CommonOptions>();
  add_study_options(*command, *options, {}, run_config_keys(), program);
  add_force(*command, *options);
  // It has nothing to go on with: it ends or is done again.
  for (const char* option : {"--resume", "--at"}) command->remove_option(command->get_option(option));
  command->callback(
      [options, &program] { program.action = [options, &program] { return kernel(*options, program.command_line); }; });
}

}  // namespace entk::app
