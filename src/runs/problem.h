// What a configuration stands for: data, a start, a projector, an objective.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "entk/config/run_config.h"
#include "entk/io/pt_file.h"
#include "entk/regularizers/regularizers.h"
#include "entk/spectrum/sigma_projector.h"
#include "entk/train/objective.h"

namespace entk {

/// The part of a run that only its data, model, projector, seed and type decide: runs of a sweep over
/// λ share one. Immutable.
struct Problem {
  RunConfig config;         ///< with rank and sizes filled in from a data file
  DataSet data;             ///< in the run's type, on its device
  at::Tensor w0, a, start;  ///< of a two-layer network; start: W(0) of any model, undefined where it is zero
  std::optional<Activation> activation;
  std::shared_ptr<const ExpandedModuleImpl> module;  ///< of another kind, at W = 0, in place of w0, a and activation
  std::optional<SigmaProjector> sigma;               ///< projector.source features or unlabeled
  std::optional<HarmonicProjector> harmonic;         ///< projector.source harmonic
  std::optional<HarmonicProjector> population;       ///< of projector.population_degree, for the records
  nlohmann::json file_checksums;                     ///< of a data file; null where the data is drawn
  std::vector<std::vector<double>> directions{};     ///< that the target singles out; none for a data file's
  std::vector<std::string> notices;                  ///< Assumption 2, eigenvalue gaps, …

  bool has_projector() const { return sigma || harmonic; }
  /// What is expanded, at W = 0: one of its own for each call.
  std::shared_ptr<Expandable> expanded() const;
  /// f's start by the names of a checkpoint: W0 and a, or start.NAME for a module's tensors.
  std::vector<std::pair<std::string, at::Tensor>> start_tensors() const;
  /// @throws InputError for `what`, which reads neurons, where the model is of a module.
  Network network(const std::string& what) const;
};

/// The notice of a harmonic projector where inputs are not of norm √d.
inline constexpr const char* off_the_sphere =
    "harmonic projector: its formulas are those of inputs uniform on the sphere; for other inputs R1, R2 and the "
    "projector are "
    "an approximation";

/// @throws InputError where the configuration cannot be met: a file, a rank, NaN in X.
Problem make_problem(const RunConfig& config, c10::Device device);
/// The projectors that p.config asks for, from p's data and start; their warnings go to the notices.
void make_projectors(Problem& p);

/// The configuration with the sizes that its data file decides, and rank 0 as d + 1; without a file, as it is. @throws
/// InputError for a file that cannot be used, targets that the loss cannot take, or a rank above its points.
RunConfig with_file_sizes(const RunConfig& config);

/// A new network at the problem's start, and the model around it. @throws InputError for a regression on a kernel.
TaylorModel make_model(const Problem& problem);
/// The loss and λ1 R1 + … + λ4 R4; all four are there for the records, whatever their weights. Without
/// a projector, R4 alone. After them, where projector.population_degree asks for it, population_R1 and
/// population_R2 with weight 0; then make_named_terms. @throws InputError for two terms of one name.
Objective make_objective(const Problem& problem, const TaylorModel& model);
/// Of several processes, whether one run may be shared out among them. @throws InputError naming what is no sum over
/// neurons, or is not taken as one.
void check_can_be_shared(const RunConfig& config);
/// The same of its terms, which are known when they are made.
void check_can_be_shared(const Objective& objective);
/// The same of what it records.
void check_can_be_shared(const std::vector<Observable>& observables);
/// What makers of regularizers and observables are told.
Setting make_setting(const Problem& problem, const TaylorModel& model);

/// Problems by what decides them, and the primitives made on their points: shared by the runs of a
/// study, from any thread.
class ProblemCache {
 public:
  std::shared_ptr<const Problem> problem(const RunConfig& config, c10::Device device);
  std::shared_ptr<const Primitive> primitive(const std::string& key, const TaylorModelImpl& model, const at::Tensor& x,
                                             const PrimitiveOptions& options);
  /// The part of a configuration that decides its problem, as text.
  static std::string key(const RunConfig& config);
  /// Forgets what no later run needs.
  void forget(const std::string& key);

 private:
  struct Entry {
    std::shared_ptr<const Problem> problem;
    struct Made {
      at::Tensor points;
      PrimitiveOptions options;
      std::shared_ptr<const Primitive> primitive;
    };
    std::vector<Made> primitives;
    std::mutex mutex;
  };
  std::shared_ptr<Entry> entry(const std::string& key);

  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;
};

/// Checksums of a data set's tensors, by the names that they have in its file.
nlohmann::json data_checksums(const DataSet& data);

}  // namespace entk
