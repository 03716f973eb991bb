// A study as a value: what it is called, what it asks, its presets, and how its configuration becomes a task: pieces to
// take and findings to show. One taker, one page and one command serve all of them (studies.h has the list).
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "entk/config/catalogue.h"
#include "entk/runs/claims.h"
#include "entk/config/schema.h"
#include "entk/runs/units.h"
#include "entk/report/plot.h"
#include "entk/report/table.h"

namespace entk {

struct NamedFigure {
  std::string name;  ///< of its files
  Figure figure;     ///< left out where it has no panels
  std::string caption;
};

/// What a study found so far, read from its folder; making it writes nothing.
struct Findings {
  Table table;  ///< results.csv, results.md, and what the terminal shows
  std::vector<NamedFigure> figures{};
  std::vector<Claim> claims{};
  std::vector<std::string> notes{};                     ///< paragraphs below the figures
  std::vector<std::string> warnings{};                  ///< what the reader should know, on the page and the terminal
  std::vector<std::pair<std::string, Table>> tables{};  ///< further ones, by heading
  nlohmann::json numbers = nlohmann::json::object();    ///< for machines: of --json
};

/// A study with its configuration.
class Task {
 public:
  virtual ~Task() = default;
  /// All of config.json, every key.
  virtual nlohmann::json config() const = 0;
  virtual std::string device() const { return "cpu"; }
  virtual std::int64_t threads() const = 0;
  /// Keys that resuming may change; `threads` always.
  virtual std::vector<std::string> may_change() const { return {}; }
  /// What can be known of data files before a folder is made; not called where units are not taken. @throws InputError
  virtual void prepare() {}
  /// @throws InputError where the memory does not hold any one of the units.
  virtual void check_memory() const {}
  /// The pieces; they refer to this task and to the context.
  virtual std::vector<Unit> units(const TakeContext& context) = 0;
  virtual TakeOptions take_options() { return {}; }
  virtual Findings findings(const std::filesystem::path& folder) const = 0;
};

/// An option that stands for a key.
struct Shortcut {
  std::string option, value_name, meaning;  ///< --mnist, DIR; without dashes: a word behind the command
  std::function<void(nlohmann::json& config, const std::string& value)> set;
  bool alone = false;  ///< goes with no other that is
};

/// What `entk reproduce` asks of a study.
struct Stage {
  std::string name;                  ///< of its folder, and the key of its overrides
  std::string title;                 ///< heading in the report
  std::string source;                ///< where in the paper
  std::string claim;                 ///< what the paper says there, in a sentence or two
  std::vector<std::string> command;  ///< words that say which study it is: {"appendix-g", "--study", "r1"}
  /// What a new start is given besides; "{figure1}" in a word stands for that stage's folder.
  std::vector<std::string> quick, published;
  bool takes_device = true;  ///< whether the command has --device
};

/// Short name to the name in configs/, or to the configuration itself; the first is the default. Empty: the defaults.
using Presets = std::vector<std::pair<std::string, nlohmann::json>>;

struct Study {
  std::string name;       ///< the command's
  std::string variant{};  ///< its --study, of a command that has several
  std::string summary;    ///< one line of --help
  std::string title;      ///< of its page
  Presets presets{};
  nlohmann::json standard{};    ///< every key with its default
  std::vector<KeyInfo> keys{};  ///< what --help lists
  /// Names are the catalogue's. @throws InputError naming source, key, value and what was expected.
  std::function<std::unique_ptr<Task>(const nlohmann::json& config, const std::string& source,
                                      const Catalogue& catalogue)>
      read{};
  bool estimates_memory = true;  ///< --force
  bool shared_out = false;       ///< by the processes of mpirun or srun, each of which takes part in every unit
  bool sweeps = false;           ///< --sweep and what else goes with a run's own keys
  bool numbers_alone = false;    ///< --out FILE.json writes Findings::numbers and no folder
  std::vector<Shortcut> shortcuts{};
  std::vector<Stage> stages{};
};

/// What a program of one's own adds to entk: names, and studies.
struct Own : Catalogue {
  Own() = default;
  Own(Catalogue names) : Catalogue(std::move(names)) {}  // NOLINT: names alone are enough

  /// A command of its own, with every option; see runs_study.h for one of training runs.
  Own& study(Study added) {
    studies.push_back(std::move(added));
    return *this;
  }
  std::vector<Study> studies;
};

}  // namespace entk
