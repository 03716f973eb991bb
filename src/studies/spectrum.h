// The spectrum of Σ by theory, beside what a sample and a finite width show of it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "entk/config/catalogue.h"
#include "entk/runs/study.h"
#include "entk/models/activation.h"
#include "entk/spectrum/sigma_spectrum.h"

namespace entk {

struct SpectrumConfig {
  Named<Activation> activation{built_in_activations(), {{"name", "sigmoid"}, {"shift", 1.0}}};
  std::int64_t dimension = 100, max_degree = 8, degree = 1;
  std::int64_t width = 0, samples = 0, training_samples = 0;
  std::uint64_t seed = 1;
  std::int64_t threads = 0;
};

template <class V>
void describe(V& v, SpectrumConfig& c) {
  v.named("activation", c.activation, "as model.activation of entk train");
  v.value("dimension", c.dimension, {.at_least = 2, .at_most = 1e6}, "d");
  v.value("max_degree", c.max_degree, {.at_least = 2, .at_most = 100}, "L, the last degree of the expansion");
  v.value("degree", c.degree, {.at_least = 0, .at_most = 50}, "k: Q1 are the degrees <= k, V1 the top n_k");
  v.value("width", c.width, {.at_least = 0, .at_most = 1e9}, "m of the empirical side and of Q1, Q2, Q3; 0: 10000");
  v.value("samples", c.samples, {.at_least = 0, .at_most = 1e6},
          "N, points of the empirical side; 0: none, or 2000 where width is given");
  v.value("training_samples", c.training_samples, {.at_least = 0, .at_most = 1e6},
          "n of the features Phi whose V1 and V2 are shown; 0: none");
  v.value("seed", c.seed, {}, "of W0 and the points");
  v.value("threads", c.threads, {.at_least = 0, .at_most = 4096}, "0: all processors");
}

/// @throws InputError naming source, key, value and what was expected.
SpectrumConfig read_spectrum_config(const nlohmann::json& json, const std::string& source,
                                    const Catalogue& catalogue = built_in_catalogue());

/// The eigenvalues of K/N that theory gives to one degree, by their order.
struct DegreeGroup {
  int degree;
  double expected;    ///< B(d,l)
  std::int64_t seen;  ///< how many of them a sample of N points has, and were computed
  double least, mean, greatest;
};

/// Eigenvalues of K(X,X)/N on N points of the sphere, K as in spectrum/feature_kernel.h.
struct EmpiricalSpectrum {
  std::int64_t samples, width;
  std::vector<double> values;         ///< descending: all up to 4000 points, beyond that the top n_k
  std::vector<DegreeGroup> groups{};  ///< in the order of λ
  double trace = 0;                   ///< tr K/N
};

struct SpectrumResult {
  SpectrumConfig config;
  SigmaSpectrum theory;
  DegreeCheck check;
  std::optional<Partition> partition;                         ///< where 1 ≤ k and 2k ≤ L
  AssumptionTwo assumption_two;                               ///< over |w·x| ≤ √d
  std::vector<int> eta_zero, eta_nearly, mu_zero, mu_nearly;  ///< vanishing coefficients, up to degree L
  std::string assumption_three;                               ///< which coefficients vanish, in words
  std::optional<EmpiricalSpectrum> empirical;                 ///< of `samples` points
  std::optional<EmpiricalSpectrum> training;                  ///< of `training_samples` points: V1, V2
  std::vector<std::string> warnings;
};

/// Which points: those of K/N beside the theory, or those of the features Φ.
enum class SpectrumSample { sample, training };
template <>
struct WordsOf<SpectrumSample> {
  static constexpr std::pair<const char*, SpectrumSample> all[] = {{"sample", SpectrumSample::sample},
                                                                   {"training", SpectrumSample::training}};
};
/// The samples that are asked for.
std::vector<SpectrumSample> spectrum_samples(const SpectrumConfig& config);
/// A sample's eigenvalues, measured. No value where `interrupted` said so: it is asked before kernel and eigenvalues.
std::optional<EmpiricalSpectrum> measure_spectrum(const SpectrumConfig& config, SpectrumSample sample,
                                                  const std::function<bool()>& interrupted = {});
/// The theory, and beside it the samples that have been measured.
SpectrumResult spectrum_result(const SpectrumConfig& config,
                               const std::map<SpectrumSample, EmpiricalSpectrum>& samples);

/// eta, mu, multiplicity, lambda, gaps, trace, trace_captured, assumptions, partition, empirical, V1, V2,
/// warnings.
nlohmann::json to_json(const SpectrumResult& result);
/// A row a degree: η, μ, λ, multiplicity, part of the trace, the empirical group.
Table spectrum_table(const SpectrumResult& result);
/// Eigenvalues by degree, multiplicities, ratios of λ, eigenvalues by index with Q1, Q2, Q3, V1, V2.
Figure spectrum_figure(const SpectrumResult& result);
/// What the paper says of Σ's eigenvalues, and what was found:
///   - gaps: λ_min(Λ1) at least 5 times λ_max(Λ2), λ_min(Λ2) at least 5 times the mean of Λ3;
///   - groups by degree: the sample's mean over each degree ≤ k within 10% of λ_l;
///   - degrees ≤ L hold at least 99% of tr Σ;
///   - V1 stands out: the n_k-th eigenvalue of ΦΦᵀ/n at least twice the next;
///   - a sigmoid with generic shift meets Assumption 2 and has no vanishing coefficient, degrees ≤ L.
std::vector<Claim> spectrum_claims(const SpectrumResult& result);

/// A unit is a sample's eigenvalues, kept as folder/parts/<sample>.json.
Study spectrum_study();

}  // namespace entk
