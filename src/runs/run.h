// One run in its folder: config.json, environment.json, status.json, metrics.csv, timing.csv,
// checkpoint.pt, summary.json.
#pragma once

#include <functional>
#include <string>

#include "entk/base/error.h"
#include "entk/runs/problem.h"
#include "entk/io/csv.h"
#include "entk/io/run_folder.h"

namespace entk {

/// How a run tells what happens, and is told to stop. All may be empty.
struct RunHooks {
  std::function<int()> interrupted{};  ///< a signal's number, or 0; asked after every step
  std::function<void(const std::string& run, const Record&, std::int64_t steps, double seconds_left)> progress{};
  std::function<void(const std::string& run, const std::string& notice)> notice{};
  bool ignore_memory = false;  ///< run although the memory estimate says no
};

struct RunOutcome {
  ExitCode code = ExitCode::ok;
  RunState state = RunState::done;
  std::string message;
  std::optional<Record> last;
};

/// Columns of metrics.csv: step, train_loss, test_loss, R1 … R4, regularized_loss, norm_W, norm_gradient, then
/// the objective's other terms and the observables by their names. @throws InputError where two have one name.
std::vector<std::string> metrics_columns(const std::vector<std::string>& more = {});
/// The records of a finished or interrupted run's folder and, where its last step was none of the recorded
/// ones, that step's values from summary.json behind them.
CsvTable read_records(const std::filesystem::path& folder);

/// What a script trains and no key can say, in place of loss, lambda and regularizers. Its terms are columns of
/// metrics.csv by their names, R1 to R4 among them.
struct OwnObjective {
  std::string description;  ///< in config.json, under resolved.objective; a run that goes on has the same
  std::function<Objective(const Problem&, const TaylorModel&)> make;
};

/// Takes the run as far as it goes; what goes wrong comes back as an outcome, with status.json saying the
/// same. A folder with a checkpoint is resumed from it: to the same bits as a run never stopped.
/// `name` is for messages.
RunOutcome take_run(const RunConfig& config, const RunFolder& folder, const std::string& name,
                    const std::string& command, ProblemCache& cache, const RunHooks& hooks,
                    const std::optional<OwnObjective>& own = {});

/// From a script: what `entk train` leaves in a new folder, plots and page with it; a folder that is there is gone on
/// with. `own` as above; none: what the keys say.
/// @throws InputError where the folder was made for another configuration or objective.
RunOutcome take_run(const RunConfig& config, const std::filesystem::path& folder,
                    const std::optional<OwnObjective>& own = {}, const RunHooks& hooks = {});

/// The run's keys in config.json of a run or a study that is there: keys that came after it was written have their
/// defaults. @throws InputError also where it is not whole.
RunConfig read_written_config(const std::filesystem::path& file, const Catalogue& catalogue);

/// Refuses a configuration that differs from the folder's own in more than train.steps, threads and
/// checkpoint intervals; the device too may differ where `other_device` says so. @throws InputError
/// naming the keys, for a finished run without checkpoint, or one that a script made for another objective.
void check_resumable(const RunFolder& folder, const RunConfig& config, bool other_device,
                     const std::optional<OwnObjective>& own = {});

/// Refuses a data file that is not the one a run's folder was made with; a folder that has not come so far passes.
/// `checksums`: data_checksums of the file. @throws InputError naming the tensors that differ.
void check_same_data(const std::filesystem::path& folder, const std::string& file, const nlohmann::json& checksums);

/// What runs: versions, device, threads, git revision.
nlohmann::json environment(c10::Device device);

}  // namespace entk
