// Options that every training command shares, and what they amount to.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "entk/program/commands.h"
#include "entk/runs/study.h"
#include "entk/runs/sweep.h"
#include "entk/io/run_folder.h"

namespace entk::app {

struct CommonOptions {
  std::string preset, config, device, dtype, out, resume;
  std::string at;  ///< as `out` where nothing has begun, else as `resume` of the same configuration
  std::vector<std::string> set, sweep;
  std::vector<std::uint64_t> seeds;
  std::optional<int> threads;
  std::optional<double> theory_weights;
  bool force = false, print_config = false, json = false, quiet = false, verbose = false;
  bool other_device = false;
  bool plan = false, pending = false, estimate = false;  ///< of a study, as `run` and `runs`
  std::optional<std::int64_t> run;
  std::int64_t runs = 1;
  Catalogue catalogue = built_in_catalogue();
  std::string program = "entk";  ///< for hints

  /// Whether the folder is one that was begun before.
  bool goes_on() const;
  /// The folder of --resume or --at.
  const std::string& earlier() const { return at.empty() ? resume : at; }
};

/// Of a command that trains configurations of RunConfig, with what goes with seeds and sweeps.
void add_common_options(CLI::App& command, CommonOptions& options, const Presets& presets, const Program& program);
void add_sweep_options(CLI::App& command, CommonOptions& options);
/// Of a study with a configuration of its own; `keys` are what --help lists.
void add_study_options(CLI::App& command, CommonOptions& options, const Presets& presets,
                       const std::vector<KeyInfo>& keys, const Program& program);

/// --plan, --run, --runs, --pending and --estimate, of a study.
void add_plan_options(CLI::App& command, CommonOptions& options);

/// --force, of a command that estimates its memory.
void add_force(CLI::App& command, CommonOptions& options);

/// Preset, file, --resume's configuration and flags put together, the later over the earlier.
/// `standard`: every key with its default.
struct ResolvedJson {
  nlohmann::json json;
  std::string source;  ///< for messages
};
ResolvedJson resolve_json(const CommonOptions& options, const Presets& presets, const nlohmann::json& standard);

/// --theory-weights: lambda of Theorem 4 for the configuration's m, d and k. A preset's sweep of lambda gives way.
void set_theory_weights(const CommonOptions& options, nlohmann::json& json, const std::string& source);
/// A study of the command `name`, from options that are parsed already.
ExitCode take_study_command(const std::string& name, const CommonOptions& options, const Program& program);

/// Paths at which a folder's configuration and that of resuming it differ. A key that came after the folder was made is
/// at its default and no difference, unless --set names it.
std::vector<std::string> changed_paths(const CommonOptions& options, const nlohmann::json& before,
                                       const nlohmann::json& now);

/// @throws InputError for what an option would write and exists, unless `force`; none: the command has no such flag.
void check_new_file(const std::string& out, std::optional<bool> force = {}, const char* option = "--out");

/// "resume with: entk train --resume DIR", on stderr.
void say_how_to_resume(const CommonOptions& options, const std::string& command, const RunFolder& folder);

/// The folder of --out, --at, --resume, or a new runs/<command>-<UTC time>.
RunFolder open_folder(const CommonOptions& options, const std::string& command);
/// The folder that the first process opens and holds, for all.
RunFolder open_together(const std::function<RunFolder()>& open);
/// The folder of a study: a new one gets config.json, command.txt and environment.json; status `running`.
/// @throws InputError if a resumed one has another configuration, the keys of `may_change` and threads apart.
/// @throws InputError where a folder holds a single run, was begun by another command, or has lost its configuration.
void check_begun_by(const std::filesystem::path& folder, const std::string& command);
/// @throws InputError where the study in a folder has another configuration, the keys of `may_change` and threads
/// apart.
void check_study(const CommonOptions& options, const std::filesystem::path& folder, const nlohmann::json& config,
                 std::vector<std::string> may_change);
RunFolder open_study(const CommonOptions& options, const std::string& command, const nlohmann::json& config,
                     std::vector<std::string> may_change, c10::Device device, const std::string& command_line);

}  // namespace entk::app
