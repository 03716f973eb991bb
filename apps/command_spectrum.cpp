#include <fmt/format.h>

#include <memory>

#include "commands.h"
#include "common_options.h"
#include "console.h"
#include "entk/base/threads.h"
#include "entk/experiments/config_layers.h"
#include "entk/experiments/spectrum.h"
#include "entk/io/atomic_file.h"
#include "entk/io/strict_json.h"
#include "signals.h"

namespace entk::app {

namespace {

const Presets presets = {{"quick", "spectrum-quick"}, {"paper", "spectrum"}};

bool is_json_file(const std::string& out) { return std::filesystem::path(out).extension() == ".json"; }

void write_files(const RunFolder& folder, const SpectrumResult& result, const nlohmann::json& json, const Table& table) {
  folder.write_json("spectrum.json", json);
  folder.write_text("results.csv", to_csv(table));
  folder.write_text("results.md", to_markdown(table));
  const auto plot = write_figure(folder.path(), "spectrum", spectrum_figure(result));
  if (!plot.notice.empty()) say("note: " + plot.notice);
  const auto claims = spectrum_claims(result);
  write_claims(folder.path(), claims);
  HtmlPage page("entk spectrum " + folder.path().filename().string());
  page.heading(2, "Results");
  page.table(table);
  page.figure(plot, "Eigenvalues of Σ by degree, theory and sample; multiplicities; ratios; eigenvalues by index, whose legend is below.");
  page.paragraph("Assumption 3: " + result.assumption_three + ".");
  if (result.partition) page.paragraph(result.partition->statement + ".");
  for (const auto& warning : result.warnings) page.paragraph("Note: " + warning);
  page.heading(2, "Claims");
  for (const auto& claim : claims) {
    page.verdict(claim.verdict, fmt::format("{}: {} Found: {}. ({})", claim.source, claim.statement, claim.ours, claim.reason));
  }
  page.heading(2, "Configuration");
  page.code(dump_json(to_json(result.config)));
  folder.write_text("report.html", page.str());
}

ExitCode spectrum(const CommonOptions& o, const std::string& command_line) {
  const auto [json, source] = resolve_json(o, presets, to_json(SpectrumConfig{}));
  const auto config = read_spectrum_config(json, source, o.catalogue);
  if (o.print_config) {
    fmt::print("{}", dump_json(to_json(config)));
    return ExitCode::ok;
  }
  set_threads(static_cast<int>(config.threads));
  std::optional<RunFolder> folder;
  const bool file = is_json_file(o.out);
  if (file) check_new_file(o.out, o.force);
  if (!file) {
    folder = open_study(o, "spectrum", to_json(config), command_line);
    if (!o.quiet) say("into " + folder->path().string());
  }
  const auto result = spectrum_study(config, [&](const SpectrumResult& so_far) {
    if (folder) folder->write_json("spectrum.json", to_json(so_far));
    return caught_signal() != 0;
  });
  const auto values = to_json(result);
  for (const auto& warning : result.warnings) {
    if (!o.quiet) say("note: " + warning);
  }
  const auto table = spectrum_table(result);
  if (file && !result.interrupted) write_file_atomically(o.out, dump_json(values));
  if (folder) {
    write_files(*folder, result, values, table);
    folder->set_status(result.interrupted ? RunState::interrupted : RunState::done, 0);
  }
  if (result.interrupted) {
    if (folder) say_how_to_resume(o, "spectrum", *folder);
    return static_cast<ExitCode>(128 + caught_signal());
  }
  if (o.json) {
    fmt::print("{}", dump_json(values));
  } else if (!o.quiet && !file) {
    fmt::print("{}", to_text(table));
  }
  return ExitCode::ok;
}

}  // namespace

void add_spectrum(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand("spectrum", "Eigenvalues of Σ by the harmonic expansion of σ', beside those of a sample");
  const auto o = std::make_shared<CommonOptions>();
  add_study_options(*command, *o, presets, spectrum_config_keys(), program);
  command->get_option("--out")->description("new folder, or a file OUT.json for the numbers alone [runs/spectrum-<UTC time>]");
  command->add_flag("--force", o->force, "write over a file OUT.json that exists");
  command->callback([o, &program] { program.action = [o, &program] { return spectrum(*o, program.command_line); }; });
}

}  // namespace entk::app
