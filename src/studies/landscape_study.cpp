#include "entk/studies/landscape_study.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "entk/base/device.h"
#include "entk/base/error.h"
#include "entk/config/config_layers.h"
#include "entk/runs/problem.h"
#include "entk/runs/study_page.h"
#include "entk/io/atomic_file.h"
#include "entk/io/checkpoint_file.h"
#include "entk/io/strict_json.h"
#include "entk/spectrum/activation_spectrum.h"
#include "entk/spectrum/legendre.h"
#include "entk/theory/expressive_solution.h"

namespace entk {

namespace {

struct Loaded {
  TensorDict tensors;
  RunConfig config;
};

Loaded load(const LandscapeStudyOptions& o, std::vector<std::string>& notices) {
  Loaded loaded;
  if (std::filesystem::is_directory(o.input)) {
    auto [tensors, notice] = read_checkpoint(o.input);
    loaded.tensors = std::move(tensors);
    if (!notice.empty()) notices.push_back(notice);
  } else {
    loaded.tensors = read_pt(o.input);
  }
  const std::string name = o.input.string();
  for (const char* entry : {"W0", "a", "W", "X", "y", "config"}) {
    if (!loaded.tensors.count(entry)) {
      throw InputError(fmt::format("{}: expected a checkpoint of entk train; it has no entry '{}'", name, entry));
    }
  }
  const auto& bytes = loaded.tensors.at("config");
  if (bytes.scalar_type() != at::kByte) throw InputError(fmt::format("{}: its entry 'config' is no text", name));
  auto json = parse_json(
      {reinterpret_cast<const char*>(bytes.const_data_ptr<std::uint8_t>()), static_cast<std::size_t>(bytes.numel())},
      name + ": config");
  const JsonReader object(json, name, "config");
  for (const auto& text : o.set) {
    const auto [path, value] = parse_override(text);
    set_at(json, path, value);
  }
  json["dtype"] = o.dtype;
  json["device"] = o.device;
  loaded.config = read_run_config(json, name, o.catalogue);
  return loaded;
}

void check_same(const std::string& file, const char* name, const at::Tensor& stored, const at::Tensor& made) {
  const auto a = stored.to(at::kDouble), b = made.detach().to(at::kCPU, at::kDouble);
  // A run in float32 rounded what is made here in float64.
  if (a.sizes() != b.sizes() || !at::allclose(a, b, 1e-5, 1e-6)) {
    throw InputError(fmt::format("{}: its {} is not what its configuration gives", file, name));
  }
}

/// W* of Theorem 2 for the problem's target, and Lemma 3's left side with it.
std::optional<LemmaThree> lemma_for(const Problem& p, const BoundObjective& bound, const ObjectiveHessian& hessian,
                                    const at::Tensor& w, const LandscapeStudyOptions& o,
                                    std::vector<std::string>& notices) {
  const auto skip = [&](const std::string& why) {
    notices.push_back("no Lemma 3: " + why);
    return std::nullopt;
  };
  const auto& c = p.config;
  if (c.data.source == "file") return skip("the sparse part of a data file's target is not known");
  if (read_loss(c.loss, "config", c.catalogue).classification) return skip("the labels are the target's signs");
  const auto sparse = make_target(c).sparse;
  if (!sparse) return skip("the target has no sparse part");
  const int k = sparse->degree - 1;
  const auto rank = exact_cumulative_multiplicity(static_cast<int>(c.data.dimension), k).value_or(0);
  if (k > 2) return skip(fmt::format("the projector in closed form is for k ≤ 2, this target has k = {}", k));
  if (rank > c.data.samples)
    return skip(fmt::format("W_L needs n ≥ n_k = {} samples, there are {}", rank, c.data.samples));
  if (c.data.source == "gaussian")
    notices.push_back("W* and its projector are those of inputs on the sphere; these are Gaussian");
  const Network network(p.w0, p.a, *p.activation);
  try {
    const auto projector = HarmonicProjector::make(*network, rank);
    const auto x = p.data.train.x.to(at::kCPU, at::kDouble);
    const auto f_low = p.data.train.y.to(at::kCPU, at::kDouble) - (*sparse)(x);
    const auto w_quadratic = quadratic_solution(*network, *sparse, projector.spectrum());
    const auto signs = random_signs(w.size(0), o.landscape.seed, 0).unsqueeze(1);
    const auto solution = linear_solution(projector, x, f_low) + signs * w_quadratic;
    const auto as_w = [&](const at::Tensor& t) { return t.to(w.options()); };
    const auto solution_w = as_w(solution);
    const auto values = bound.values(bound.primitive()->terms(solution_w), solution_w);
    return lemma_three(hessian, w, as_w(projector.low(w)), solution_w, as_w(projector.low(solution)),
                       values.regularized.item<double>(), o.draws, o.landscape.seed);
  } catch (const InputError& e) {
    return skip(e.what());
  }
}

nlohmann::json number(double v) { return std::isfinite(v) ? nlohmann::json(v) : nlohmann::json(); }

const char* name_of(StationaryVerdict verdict) {
  switch (verdict) {
    case StationaryVerdict::not_sosp:
      return "not_sosp";
    case StationaryVerdict::not_first_order:
      return "not_first_order";
    case StationaryVerdict::undecided:
      return "undecided";
    default:
      return "none_found";
  }
}

/// A mean over random signs, with its interval.
Estimate over_signs(double value, const LemmaThree& m) {
  return estimate_with(value, m.standard_error, m.draws - 1, fmt::format("mean over {} draws of S", m.draws));
}

void describe_results(LandscapeStudy& s, const RunConfig& config) {
  const auto& l = s.landscape;
  const auto& z = l.lanczos;
  s.json = {{"verdict", name_of(l.verdict)},
            {"statement", l.statement},
            {"nu", l.nu},
            {"gamma", l.gamma},
            {"regularized_loss", number(l.value)},
            {"gradient_norm", number(l.gradient_norm)},
            {"lambda_min", number(z.rayleigh)},
            {"residual", number(z.residual)},
            {"ritz_smallest", number(z.smallest)},
            {"ritz_largest", number(z.largest)},
            {"iterations", z.iterations},
            {"krylov_space_exhausted", z.invariant},
            {"failure_probability", number(l.failure_probability)},
            {"dtype", config.dtype},
            {"parameters", config.model.width * config.data.dimension}};
  auto& t = s.table;
  t.title = s.lemma
                ? fmt::format("Landscape at W; means over {} random signs S with their 95% intervals", s.lemma->draws)
                : "Landscape at W";
  t.columns = {Column("quantity"), Column("value", 5)};
  t.rows = {{"L_λ(W)", l.value},
            {"‖∇L_λ(W)‖", l.gradient_norm},
            {"ν", l.nu},
            {"λ_min: least Rayleigh quotient", z.rayleigh},
            {"its residual", z.residual},
            {"−γ", -l.gamma},
            {"largest Ritz value", z.largest},
            {"Lanczos steps", z.iterations},
            {"failure probability", l.failure_probability}};
  if (s.lemma) {
    const auto& m = *s.lemma;
    s.json["lemma_3"] = {{"left_side", number(m.left_side)},
                         {"standard_error", number(m.standard_error)},
                         {"hessian_part", number(m.hessian_part)},
                         {"gradient_part", number(m.gradient_part)},
                         {"regularized_loss_of_solution", number(m.solution_value)},
                         {"draws", m.draws}};
    t.rows.push_back({"E_S ∇²L_λ[SW*, SW*]", over_signs(m.hessian_part, m)});
    t.rows.push_back({"L_λ(W*)", m.solution_value});
    t.rows.push_back({"Lemma 3's left side (31)", over_signs(m.left_side, m)});
  }

  const auto text = [](double v) { return format_number(v, 3); };
  Claim corollary{
      "Corollary 1",
      "A (ν, γ)-second-order stationary point of L_λ has a small loss L_λ.",
      "L_λ ≲ ε_min",
      fmt::format("‖∇L_λ‖ = {}, λ_min = {}, L_λ = {}", text(l.gradient_norm), text(z.rayleigh), text(l.value)),
      Verdict::too_small_to_tell,
      "",
      ""};
  const bool sosp = l.verdict == StationaryVerdict::none_found;
  corollary.reason = sosp ? "W passes as a second-order stationary point; L_λ(W) is to be compared with ε_min, whose "
                            "constant and whose width m ≥ n⁴d^(26(k+1)/3)ε^(−22/3) no run here can have"
                     : l.verdict == StationaryVerdict::undecided
                         ? "whether W is a second-order stationary point is undecided after so few Lanczos steps"
                         : "W is no second-order stationary point, so the corollary does not speak of it";
  s.claims.push_back(corollary);
  if (s.lemma) {
    const auto left_side = over_signs(s.lemma->left_side, *s.lemma);
    // A left side above 0 may still be of the order of ε_min, whose constant is not known: no interval contradicts the
    // lemma.
    const bool above = left_side.has_interval() && left_side.low > 0;
    s.claims.push_back(judged(
        {.source = "Lemma 3",
         .statement = "At a ν-first-order stationary point the left side of (31) is at most of the order of ε_min.",
         .paper = "≲ ε_min",
         .reason = "the left side over random signs, W_L and W_L* read as projections; held where it is at most 0, "
                   "which no ε_min can contradict",
         .evidence = {{"left side", left_side, -INFINITY, 0}}},
        true,
        l.gradient_norm > l.nu ? "needs ‖∇L_λ‖ ≤ ν"
        : above                ? "needs ε_min, whose constant is not known"
                               : ""));
  }
}

}  // namespace

LandscapePoint read_landscape_point(const LandscapeStudyOptions& o) {
  std::vector<std::string> notices;
  const auto [tensors, config] = load(o, notices);
  const auto file = o.input.string();
  const auto device = pick_device(o.device);
  auto p = make_problem(config, device);
  check_same(file, "X", tensors.at("X"), p.data.train.x);
  check_same(file, "y", tensors.at("y"), p.data.train.y);
  check_same(file, "W0", tensors.at("W0"), p.w0);
  check_same(file, "a", tensors.at("a"), p.a);
  notices.insert(notices.end(), p.notices.begin(), p.notices.end());
  const auto w = tensors.at("W").to(device, p.w0.scalar_type()).contiguous();
  return {std::move(p), w, std::move(notices)};
}

LandscapeStudy study_landscape(const LandscapePoint& point, const LandscapeStudyOptions& o) {
  const auto& [p, w, notices] = point;
  LandscapeStudy s;
  s.config = to_json(p.config);
  s.notices = notices;
  const auto model = make_model(p);
  const BoundObjective bound(model, make_objective(p, model), p.data.train,
                             {.memory_limit = static_cast<std::int64_t>(p.config.train.memory_limit_gb * 1e9)});
  const ObjectiveHessian hessian(bound, w);
  s.landscape = landscape(hessian, w.sizes(), w.options(), o.landscape);
  if (o.draws > 0) s.lemma = lemma_for(p, bound, hessian, w, o, s.notices);
  describe_results(s, p.config);
  return s;
}

void write_landscape(const std::filesystem::path& folder, const LandscapeStudy& s) {
  write_pt(folder / "direction.pt", {{"direction", s.landscape.lanczos.vector}});
  write_study_page(folder, "landscape", "The landscape at a trained W",
                   {.table = s.table,
                    .claims = s.claims,
                    .notes = {s.landscape.statement},
                    .warnings = s.notices,
                    .numbers = s.json});
}

Stage landscape_stage() {
  const std::string minimum = "{figure1}/runs/lambda.3=10,seed=1";
  return {
      .name = "landscape",
      .title = "The landscape at a trained W",
      .source = "Theorem 3, Lemma 3",
      .claim =
          "Second-order stationary points of the regularized loss are good; gradient descent with noise reaches one.",
      .command = {"landscape"},
      .quick = {minimum},
      .published = {minimum},
      .takes_device = false,
      .resumes = false};
}

}  // namespace entk
