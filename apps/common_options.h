// Options that every training command shares, and what they amount to.
#pragma once

#include <CLI/CLI.hpp>

#include <optional>
#include <string>
#include <vector>

#include "entk/experiments/study.h"
#include "entk/io/run_folder.h"

namespace entk::app {

/// Presets of a command: short name to the name in configs/; the first is the default.
using Presets = std::vector<std::pair<std::string, std::string>>;

struct CommonOptions {
  std::string preset, config, device, dtype, out, resume;
  std::vector<std::string> set, sweep;
  std::vector<std::uint64_t> seeds;
  std::optional<int> threads;
  bool force = false, print_config = false, json = false, quiet = false, verbose = false;
  bool other_device = false;
};

void add_common_options(CLI::App& command, CommonOptions& options, const Presets& presets);

/// Preset, file, --resume's configuration and flags put together, the later over the earlier.
struct Resolved {
  StudyConfig study;
  std::string source;  ///< for messages
};
Resolved resolve(const CommonOptions& options, const Presets& presets);

/// The folder of --out, --resume, or a new runs/<command>-<UTC time>.
RunFolder open_folder(const CommonOptions& options, const std::string& command);

/// The footer of --help: all keys of a configuration.
std::string keys_footer();

}  // namespace entk::app
