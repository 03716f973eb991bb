// `entk expressivity`: Theorem 2's solution built at several widths, and what the theorem says of it.
#pragma once

#include <filesystem>

#include "entk/config/run_config.h"
#include "entk/runs/study.h"

namespace entk {

struct ExpressivityConfig {
  std::int64_t dimension = 30;
  std::vector<std::int64_t> degrees = {1, 2};  // k
  std::int64_t directions = 2;                 // R
  std::vector<std::int64_t> widths = {1000, 2000, 5000, 10000, 20000, 50000, 100000};
  std::int64_t samples = 1000, fresh_samples = 4000, draws = 8;
  std::vector<std::int64_t> seeds = {1};
  Named<Activation> activation{built_in_activations(), {{"name", "sigmoid"}, {"shift", 1.0}}};
  std::int64_t threads = 0;
};

template <class V>
void describe(V& v, ExpressivityConfig& c) {
  v.value("dimension", c.dimension, {.at_least = 2, .at_most = 1000}, "d");
  v.value("degrees", c.degrees, {.at_least = 1, .at_most = 2, .nonempty = true, .distinct = true},
          "k: f_k of degree k, f_sp of degree k + 1");
  v.value("directions", c.directions, {.at_least = 1, .at_most = 1000}, "R, with alpha_i = 1");
  v.value("widths", c.widths, {.at_least = 2, .at_most = 1e7, .nonempty = true, .distinct = true}, "m, even");
  v.value("samples", c.samples, {.at_least = 1, .at_most = 1e6}, "n, at least n_k");
  v.value("fresh_samples", c.fresh_samples, {.at_least = 2, .at_most = 1e6},
          "points for expectations over the population");
  v.value("draws", c.draws, {.at_least = 2, .at_most = 10000}, "random signs S");
  v.value("seeds", c.seeds, {.at_least = 0, .nonempty = true, .distinct = true}, "of W0, inputs, target and signs");
  v.named("activation", c.activation, "as model.activation of entk train");
  v.value("threads", c.threads, {.at_least = 0, .at_most = 4096}, "0: all processors");
}

/// @throws InputError naming source, key, value and what was expected.
ExpressivityConfig read_expressivity_config(const nlohmann::json& json, const std::string& source,
                                            const Catalogue& catalogue = built_in_catalogue());

/// One (k, m, seed): everything the theorem speaks of.
struct ExpressivityPart {
  std::int64_t k = 1, width = 0, seed = 1;
  std::map<std::string, double> values;
};
/// Keys: fq_error (rms of f_Q − f_sp over rms of f_sp, at the samples), fq_max_error (22), wq_norm4
/// ‖W_Q‖_{2,4}^4 (22) and wq_norm4_limit, wl_error E_n[(f_L(W_L) − f_k)²] and wl_square ‖W_L‖_F² (23), loss
/// L̂^Q(W*) (29), R1 … R4 at W* (30), their means over S with R1_deviation … loss_deviation; fl_plain,
/// fl_signed: rms over the population of f_L(W_Q) and f_L(SW_Q). Square loss.
ExpressivityPart measure_expressivity(const ExpressivityConfig& config, std::int64_t k, std::int64_t width,
                                      std::int64_t seed);

/// Where a part's values are kept.
std::filesystem::path expressivity_part(const std::filesystem::path& folder, std::int64_t k, std::int64_t width,
                                        std::int64_t seed);

/// What the parts measured so far, in folder/parts, say.
Findings expressivity_findings(const std::filesystem::path& folder, const ExpressivityConfig& config);

/// A unit is one (k, m, seed), kept as folder/parts/k=…,m=…,seed=….json.
Study expressivity_study();

}  // namespace entk
