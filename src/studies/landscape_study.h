// `entk landscape`: a checkpoint, its regularized loss, and whether its W is a second-order stationary
// point.
#pragma once

#include "entk/runs/problem.h"
#include "entk/runs/study.h"
#include "entk/theory/landscape.h"

namespace entk {

/// What is asked of a W, and how long.
struct LandscapeQuestion {
  double nu = 0, gamma = 0;
  std::int64_t iterations = 300;
  double failure_probability = 1e-6;
  std::int64_t draws = 20;
  std::uint64_t seed = 1;
};

struct LandscapeConfig {
  std::string run;  ///< a run's folder or a checkpoint file
  LandscapeQuestion landscape;
  at::ScalarType dtype = at::kDouble;
  std::string device = "cpu";
  std::int64_t threads = 0;
  /// Further keys: a run's, over those that its checkpoint has.
  nlohmann::json over = nlohmann::json::object();
  Catalogue catalogue = built_in_catalogue();  ///< of names; no key
};

template <class V>
void describe(V& v, LandscapeQuestion& c) {
  v.value("nu", c.nu, {.at_least = 0}, "largest gradient norm of a stationary point; 0: m^(-1/2)");
  v.value("gamma", c.gamma, {.at_least = 0}, "curvature below -gamma refutes it; 0: m^(-3/4)");
  v.value("iterations", c.iterations, {.at_least = 1, .at_most = 1e6}, "Lanczos steps at most; each keeps m*d numbers");
  v.value("failure_probability", c.failure_probability, {.above = 0, .below = 1},
          "stop once a direction below -gamma is missed with at most this probability");
  v.value("draws", c.draws, {.at_least = 0, .at_most = 1e6}, "random signs for Lemma 3's left side; 0: leave it out");
  v.value("seed", c.seed, {}, "of the start and the signs");
}

template <class V>
void describe(V& v, LandscapeConfig& c) {
  v.value("run", c.run, {}, "a run's folder or a checkpoint.pt; further keys are a run's, over its own");
  v.object("landscape", c.landscape);
  v.value("dtype", c.dtype, {}, "float32 or float64");
  v.value("device", c.device, {}, "cpu, cuda, cuda:N or auto");
  v.value("threads", c.threads, {.at_least = 0, .at_most = 4096}, "0: all processors");
  v.rest(c.over, nullptr);
}

/// @throws InputError naming source, key, value and what was expected.
LandscapeConfig read_landscape_config(const nlohmann::json& json, const std::string& source,
                                      const Catalogue& catalogue = built_in_catalogue());

/// A checkpoint's W, and everything made again from the configuration beside it, in another floating type
/// if asked for.
struct LandscapePoint {
  Problem problem;
  TaylorModel model;
  Objective objective;
  at::Tensor w;  ///< m×d
  std::vector<std::string> notices;
};
/// @throws InputError for what is no checkpoint, or one whose X, y, W0 or a is not what its configuration
/// gives, and for a model or a term that has no products with the Hessian.
LandscapePoint read_landscape_point(const LandscapeConfig& config);

struct LandscapeResult {
  Landscape landscape;
  std::optional<LemmaThree> lemma;     ///< where Theorem 2's solution exists for the target
  std::vector<LanczosProgress> steps;  ///< of Lanczos' method
  std::vector<std::string> notices;
  std::int64_t parameters = 0;  ///< of W
};
/// `progress` as LandscapeOptions::interrupted. @throws what ObjectiveHessian and landscape throw.
LandscapeResult study_landscape(const LandscapePoint& point, const LandscapeConfig& config,
                                const std::function<bool(const LanczosProgress&)>& progress = {});

/// landscape.json, from which the findings are made: verdict, ν, γ, L_λ, ‖∇L_λ‖, λ_min with its residual, the Ritz
/// values step by step, Lemma 3's parts, the run's configuration.
nlohmann::json to_json(const LandscapeResult& result, const RunConfig& config);
Findings landscape_findings(const nlohmann::json& numbers);

/// A unit, kept as landscape.json and direction.pt (`direction`: the unit Ritz vector, m×d). Its code is check_failed
/// where a direction below −γ was found, or too little was seen to tell.
Study landscape_study();

}  // namespace entk
