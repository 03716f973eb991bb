// Every study of the paper, one after the other, each by its own command in a process of its own; and
// the page that puts what they measured beside what the paper claims.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "entk/base/error.h"
#include "entk/studies/studies.h"

namespace entk {

/// Sizes of every stage.
enum class ReproducePreset { quick, full };
template <>
struct WordsOf<ReproducePreset> {
  static constexpr std::pair<const char*, ReproducePreset> all[] = {{"quick", ReproducePreset::quick},
                                                                    {"full", ReproducePreset::full},
                                                                    {"published", ReproducePreset::full}};  // older
};

struct ReproduceConfig {
  ReproducePreset preset = ReproducePreset::quick;
  std::vector<std::string> stages;  ///< those to take; default all
  std::string device = "auto";
  std::int64_t threads = 0;
  std::map<std::string, nlohmann::json> overrides;  ///< keys of a stage's own configuration
};
/// @throws InputError naming the key
ReproduceConfig read_reproduce_config(const nlohmann::json& json, const std::string& source);
nlohmann::json to_json(const ReproduceConfig& config);
std::vector<KeyInfo> reproduce_config_keys();

/// The arguments, program apart, of a stage that starts in `folder`.
std::vector<std::string> stage_arguments(const Stage& stage, const ReproduceConfig& config,
                                         const std::filesystem::path& folder);

/// Asks the program about each stage's own keys, without work. @throws InputError naming the stage, for a key or value
/// that its command refuses, and for a stage whose other one is neither taken nor in `folder` already.
void check_stages(const ReproduceConfig& config, const std::filesystem::path& folder,
                  const std::filesystem::path& program);

/// What became of a stage; kept in stages.json.
struct StageRecord {
  std::string command;  ///< as it could be typed
  bool ran = false;
  int exit_code = 0;
  double seconds = 0;   ///< over all its resumptions
  std::string message;  ///< the last line it said, of a stage that failed

  /// Whether it ran to its end: exit 1 is a result (a check failed), not a failure to run.
  bool done() const { return ran && (exit_code == 0 || exit_code == 1); }
};
/// Empty where there is no stages.json. @throws InputError
std::map<std::string, StageRecord> read_stage_records(const std::filesystem::path& folder);

struct ReproduceHooks {
  std::function<int()> interrupted{};              ///< a signal's number, or 0
  std::function<void(const std::string&)> line{};  ///< a stage begins, or ended
  std::function<void(std::string_view)> output{};  ///< what the stages say
};

/// How long a stage would take, as its own command's --estimate says.
struct StageTime {
  std::string stage;
  double seconds = 0;
  std::int64_t unknown = 0;  ///< of its parts, whose time no first steps tell; −1: they read what figure1 leaves
};
/// Of those that are taken and not done yet, asked with `timeout` each. @throws InputError, RunError naming the stage
std::vector<StageTime> estimate_stages(const ReproduceConfig& config, const std::filesystem::path& folder,
                                       const std::filesystem::path& program);

/// Takes all stages of the configuration that are not done, each into folder/<name>, what it says into
/// folder/<name>.log; a stage that was cut short continues where it was. One that fails does not stop the
/// others; an interrupt is passed on to the one that runs and stops all. report.html is written again
/// after each. Returns the worst exit code of the stages, or 128 + the signal.
/// @param program the file of the program `entk`
ExitCode take_stages(const RunFolder& folder, const ReproduceConfig& config, const std::filesystem::path& program,
                     const ReproduceHooks& hooks);

/// report.html: all claims with their verdicts first, then each stage's with figure, values, criterion,
/// command and time. Stages without claims of their own appear as not run.
void write_reproduce_report(const std::filesystem::path& folder, const ReproduceConfig& config);

}  // namespace entk
