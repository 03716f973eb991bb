#include <fmt/format.h>

#include "appendix_g.h"
#include "console.h"
#include "entk/base/threads.h"
#include "entk/experiments/study_page.h"
#include "entk/experiments/taylor_study.h"
#include "entk/io/strict_json.h"
#include "signals.h"

namespace entk::app {

namespace {

const Presets presets = {{"quick", "appendix-g-taylor-quick"}, {"published", "appendix-g-taylor"}};

/// --digits, --mnist and --cifar10 are the keys data.source and data.path.
void set_data(const AppendixOptions& o, nlohmann::json& json) {
  int given = 0;
  for (const auto& [source, path] : {std::pair{"digits", o.digits}, {"mnist", o.mnist}, {"cifar10", o.cifar10}}) {
    if (path.empty()) continue;
    if (++given > 1) throw InputError("--digits, --mnist and --cifar10 exclude each other");
    json["data"]["source"] = source;
    json["data"]["path"] = path;
  }
}

ExitCode run_taylor(const AppendixOptions& o, const std::string& command_line) {
  auto [json, source] = resolve_json(o.common, presets, to_json(TaylorStudyConfig{}));
  set_data(o, json);
  const auto config = read_taylor_study_config(json, source);
  if (o.common.print_config) {
    fmt::print("{}", dump_json(to_json(config)));
    return ExitCode::ok;
  }
  set_threads(static_cast<int>(config.threads));
  const auto data = load_images(config);
  const auto folder = open_study(o.common, "appendix-g", to_json(config), command_line);
  Console console(o.common.quiet, o.common.verbose, 1);
  console.line(fmt::format("{}: {} training and {} test images", data.target, data.train.x.size(0), data.test.x.size(0)));
  TaylorStudyHooks hooks;
  hooks.interrupted = caught_signal;
  hooks.recorded = [&](std::int64_t seed, std::int64_t epoch, const std::vector<double>& losses) {
    console.line(fmt::format("seed {}  epoch {}/{}  test loss: network {:.4g}, order 1 {:.4g}, order 2 {:.4g}", seed, epoch,
                             config.train.epochs, losses[0], losses[1], losses[2]));
  };
  bool finished = false;
  try {
    finished = take_taylor_study(config, data, folder, hooks);
  } catch (const Error& e) {
    folder.set_status(e.code() == ExitCode::diverged ? RunState::diverged : RunState::failed, 0, e.what());
    throw;
  }
  if (!finished) {
    folder.set_status(RunState::interrupted, 0);
    say_how_to_resume(o.common, "appendix-g --study taylor", folder);
    return static_cast<ExitCode>(128 + caught_signal());
  }
  const auto curves = read_taylor_curves(config, folder.path());
  const auto claims = taylor_study_claims(config, curves);
  const auto results = write_study_page(folder.path(), "entk appendix-g: Taylor expansions", taylor_study_table(curves),
                                        {{"appendix-g-taylor", taylor_study_plot(curves),
                                          "The network and its expansions, trained side by side, over epochs; distances are root mean "
                                          "squares over test images."}},
                                        claims);
  folder.set_status(RunState::done, config.train.epochs);
  for (const auto& notice : results.notices) say("note: " + notice);
  if (o.common.json) {
    nlohmann::json summary = {{"folder", folder.path().string()}};
    for (const auto& claim : claims) {
      summary["claims"].push_back({{"statement", claim.statement}, {"ours", claim.ours}, {"verdict", to_string(claim.verdict)}});
    }
    fmt::print("{}", dump_json(summary));
  } else if (!o.common.quiet) {
    fmt::print("{}", to_text(results.table));
    for (const auto& claim : claims) fmt::print("{}: {}\n", to_string(claim.verdict), claim.statement);
    fmt::print("\nIn {}\n", folder.path().string());
  }
  return ExitCode::ok;
}

}  // namespace

AppendixStudy taylor_appendix_study() {
  return {"taylor", "a convolutional network beside its expansions", taylor_study_keys(), run_taylor};
}

}  // namespace entk::app
