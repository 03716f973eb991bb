#include "entk/studies/expressivity.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <set>

#include "entk/base/error.h"
#include "entk/base/threads.h"
#include "entk/io/run_folder.h"
#include "entk/io/atomic_file.h"
#include "entk/io/strict_json.h"
#include "entk/spectrum/activation_spectrum.h"
#include "entk/spectrum/legendre.h"
#include "entk/theory/expressive_solution.h"

namespace entk {

namespace {

double mean_square(const at::Tensor& t) {
  const SerialTorch serial;
  return t.to(at::kDouble).square().mean().item<double>();
}

std::string part_name(std::int64_t k, std::int64_t width, std::int64_t seed) {
  return fmt::format("k={},m={},seed={}", k, width, seed);
}

}  // namespace

ExpressivityConfig read_expressivity_config(const nlohmann::json& json, const std::string& source,
                                            const Catalogue& catalogue) {
  auto c = read_described<ExpressivityConfig>(json, source, catalogue);
  const auto fail = [&](const std::string& message) { throw InputError(source + ": " + message); };
  for (const auto m : c.widths) {
    if (m % 2 != 0) fail(fmt::format("widths: expected even numbers, for the symmetric start, got {}", m));
  }
  for (const auto k : c.degrees) {
    const auto rank = exact_cumulative_multiplicity(static_cast<int>(c.dimension), static_cast<int>(k)).value_or(0);
    if (rank > c.samples)
      fail(fmt::format("samples: expected at least n_k = {} for k = {}, got {}", rank, k, c.samples));
  }
  return c;
}

ExpressivityPart measure_expressivity(const ExpressivityConfig& c, std::int64_t k, std::int64_t width,
                                      std::int64_t seed_number) {
  const auto seed = static_cast<std::uint64_t>(seed_number);
  const auto target =
      low_degree_plus_sparse({.dimension = c.dimension,
                              .degree = static_cast<int>(k),
                              .alphas = std::vector<double>(static_cast<std::size_t>(c.directions), 1.0),
                              .seed = seed});
  const auto& sparse = *target.sparse;
  const auto x = draw_inputs(InputLaw::sphere, c.samples, c.dimension, Purpose::train_inputs, seed);
  const auto fresh = draw_inputs(InputLaw::sphere, c.fresh_samples, c.dimension, Purpose::fresh_inputs, seed);
  const auto y = target.value(x), f_sparse = sparse(x), f_low = y - f_sparse;
  const Network network(NetworkOptions{
      .dimension = c.dimension, .width = width, .activation = *c.activation, .seed = seed, .dtype = at::kDouble});
  const auto rank = *exact_cumulative_multiplicity(static_cast<int>(c.dimension), static_cast<int>(k));
  const auto projector = HarmonicProjector::make(network, rank);
  const auto here = make_primitive(*network, x, {.mode = KernelMode::recompute});
  const auto there = make_primitive(*network, fresh, {.mode = KernelMode::recompute});

  ExpressivityPart part{k, width, seed_number, {}};
  auto& v = part.values;
  const auto w_quadratic = quadratic_solution(*network, sparse, projector.spectrum());
  const auto w_linear = linear_solution(projector, x, f_low);
  const auto norm4 = [](const at::Tensor& w) {
    const SerialTorch serial;
    return w.square().sum(1).square().sum().item<double>();
  };
  const auto quadratic_terms = here->terms(w_quadratic), linear_terms = here->terms(w_linear);
  v["fq_error"] = std::sqrt(mean_square(quadratic_terms[1] - f_sparse) / mean_square(f_sparse));
  v["fq_max_error"] = (quadratic_terms[1] - f_sparse).abs().max().item<double>();
  v["wq_norm4"] = norm4(w_quadratic);
  v["wq_norm4_limit"] = quadratic_solution_norm(sparse, projector.spectrum());
  v["wl_error"] = mean_square(linear_terms[0] - f_low);
  v["wl_square"] = mean_square(w_linear) * static_cast<double>(w_linear.numel());
  v["fl_plain"] = std::sqrt(mean_square(there->terms(w_quadratic)[0]));

  std::map<std::string, std::vector<double>> over_signs;
  for (std::int64_t draw = 0; draw < c.draws; ++draw) {
    const auto signs = random_signs(width, seed, static_cast<std::uint32_t>(draw)).unsqueeze(1);
    const auto w = w_linear + signs * w_quadratic;
    const auto terms = here->terms(w);
    const auto low = projector.low(w), high = w - low;
    const auto high_there = there->terms(high)[0].clone();
    over_signs["loss"].push_back(mean_square(terms[0] + terms[1] - y));
    over_signs["R1"].push_back(mean_square(high_there));
    over_signs["R2"].push_back(mean_square(there->terms(low)[0]));
    over_signs["R3"].push_back(mean_square(here->terms(high)[0]));
    const double r4 = norm4(w);
    over_signs["R4"].push_back(r4 * r4);
    over_signs["fl_signed_square"].push_back(mean_square(there->terms(w - w_linear)[0]));
  }
  v["fl_signed"] = std::sqrt(mean(over_signs["fl_signed_square"]));
  for (const char* name : {"loss", "R1", "R2", "R3", "R4"}) {
    v[name] = mean(over_signs[name]);
    v[std::string(name) + "_deviation"] = standard_deviation(over_signs[name]);
  }
  for (const auto& [name, value] : v) {
    if (!std::isfinite(value))
      throw NotFiniteError(fmt::format("{} at {}: not finite", name, part_name(k, width, seed_number)));
  }
  return part;
}

std::filesystem::path expressivity_part(const std::filesystem::path& folder, std::int64_t k, std::int64_t width,
                                        std::int64_t seed) {
  return folder / "parts" / (part_name(k, width, seed) + ".json");
}

namespace {

class ExpressivityTask : public Task {
 public:
  explicit ExpressivityTask(ExpressivityConfig config) : config_(std::move(config)) {}

  nlohmann::json config() const override { return write_described(config_); }
  std::int64_t threads() const override { return config_.threads; }
  std::vector<Unit> units(const TakeContext& context) override {
    if (context.take) make_folder(context.folder.path() / "parts");
    std::vector<Unit> all;
    for (const auto seed : config_.seeds) {
      for (const auto k : config_.degrees) {
        for (const auto width : config_.widths) {
          const auto name = part_name(k, width, seed);
          const auto file = expressivity_part(context.folder.path(), k, width, seed);
          all.push_back(part_unit(name, file, [=, this, &context]() -> std::optional<nlohmann::json> {
            if (context.hooks.interrupted && context.hooks.interrupted() != 0) return std::nullopt;
            if (context.line) context.line(name);
            return measure_expressivity(config_, k, width, seed).values;
          }));
        }
      }
    }
    return all;
  }
  TakeOptions take_options() override { return {.jobs = 1}; }  // each uses all threads
  Findings findings(const std::filesystem::path& folder) const override {
    return expressivity_findings(folder, config_);
  }

 private:
  ExpressivityConfig config_;
};

}  // namespace

Study expressivity_study() {
  return {.name = "expressivity",
          .summary = "The solution W* of Theorem 2, built and measured over the width",
          .title = "The solution of Theorem 2",
          .presets = {{"quick", "expressivity-quick"}, {"full", "expressivity"}},
          .standard = write_described(ExpressivityConfig{}),
          .keys = list_described(ExpressivityConfig{}),
          .read = [](const nlohmann::json& json, const std::string& source,
                     const Catalogue& catalogue) -> std::unique_ptr<Task> {
            return std::make_unique<ExpressivityTask>(read_expressivity_config(json, source, catalogue));
          },
          .estimates_memory = false,
          .stages = {{.name = "expressivity",
                      .title = "The solution of Theorem 2",
                      .source = "Theorem 2",
                      .claim = "Some W* = W_L + S W_Q fits low degree + sparse with f_L + f_Q, its R1 to R4 small and "
                               "W_Q's size flat in m.",
                      .command = {"expressivity"},
                      .quick = {"--preset", "quick"},
                      .published = {"--preset", "full"},
                      .takes_device = false}}};
}

}  // namespace entk
