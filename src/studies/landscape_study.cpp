#include "entk/studies/landscape_study.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/base/device.h"
#include "entk/base/error.h"
#include "entk/base/group.h"
#include "entk/config/config_layers.h"
#include "entk/runs/problem.h"
#include "entk/report/statistics.h"
#include "entk/io/atomic_file.h"
#include "entk/io/checkpoint_file.h"
#include "entk/io/strict_json.h"
#include "entk/kernels/shard.h"
#include "entk/spectrum/activation_spectrum.h"
#include "entk/spectrum/legendre.h"
#include "entk/theory/expressive_solution.h"

namespace entk {

namespace {

struct Loaded {
  TensorDict tensors;
  RunConfig config;
};

/// Calls visit(path, value) for what a nested configuration sets. What has a name is set whole.
void for_each_key(const nlohmann::json& json, const std::string& prefix,
                  const std::function<void(const std::string&, const nlohmann::json&)>& visit) {
  for (const auto& [key, value] : json.items()) {
    if (value.is_object() && !value.empty() && !value.contains("name")) {
      for_each_key(value, prefix + key + ".", visit);
    } else {
      visit(prefix + key, value);
    }
  }
}

Loaded load(const LandscapeConfig& c, std::vector<std::string>& notices) {
  Loaded loaded;
  if (!std::filesystem::exists(c.run)) {
    throw InputError(fmt::format("'{}' is neither a run's folder nor a checkpoint", c.run));
  }
  if (std::filesystem::is_directory(c.run)) {
    if (const auto runs = std::filesystem::path(c.run) / "runs";
        std::filesystem::is_directory(runs) && !std::filesystem::exists(runs.parent_path() / "metrics.csv")) {
      throw InputError(
          fmt::format("{}: expected the folder of one run, got a study's; its runs are in {}", c.run, runs.string()));
    }
    auto [tensors, notice] = read_checkpoint(c.run, own_share);
    loaded.tensors = std::move(tensors);
    if (!notice.empty()) notices.push_back(notice);
  } else {
    loaded.tensors = read_tensors(c.run, {}, own_share);
  }
  for (const char* entry : {"W", "X", "y", "config"}) {
    if (!loaded.tensors.count(entry)) {
      throw InputError(fmt::format("{}: expected a checkpoint of entk train; it has no entry '{}'", c.run, entry));
    }
  }
  const auto& bytes = loaded.tensors.at("config");
  if (bytes.scalar_type() != at::kByte) throw InputError(fmt::format("{}: its entry 'config' is no text", c.run));
  auto json = parse_json(
      {reinterpret_cast<const char*>(bytes.const_data_ptr<std::uint8_t>()), static_cast<std::size_t>(bytes.numel())},
      c.run + ": config");
  const JsonReader object(json, c.run, "config");
  for_each_key(c.over, "", [&](const std::string& path, const auto& value) { set_at(json, path, value); });
  json["dtype"] = word_of(c.dtype);
  json["device"] = c.device;
  loaded.config = read_run_config(json, c.run, c.catalogue);
  return loaded;
}

/// What there are no products with the Hessian of, said before there is a folder for them.
void check_has_hessian(const Problem& p, const std::string& file) {
  const auto& model = p.config.model;
  const auto refuse = [&](const char* key, const std::string& got) {
    throw InputError(fmt::format("{}: {}: a landscape is that of a trained model of order 2, got {}", file, key, got));
  };
  if (model.kernel != ModelKernel::none) refuse("model.kernel", word_of(model.kernel));
  if (model.order != 2) refuse("model.order", fmt::format("{}", model.order));
  if (model.whole_network && !p.module) refuse("model.whole_network", "the two-layer network itself");
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
                                    const at::Tensor& w, const LandscapeQuestion& o,
                                    std::vector<std::string>& notices) {
  const auto skip = [&](const std::string& why) {
    notices.push_back("no Lemma 3: " + why);
    return std::nullopt;
  };
  const auto& c = p.config;
  if (p.data.given) return skip("the sparse part of the target is not known: y is given");
  if (c.loss->classification) return skip("the labels are the target's signs");
  const auto sparse = make_target(c).sparse;
  if (!sparse) return skip("the target has no sparse part");
  const int k = sparse->degree - 1;
  const auto rank = exact_cumulative_multiplicity(static_cast<int>(c.data.dimension), k).value_or(0);
  if (k > 2) return skip(fmt::format("the projector in closed form is for k ≤ 2, this target has k = {}", k));
  if (rank > c.data.samples)
    return skip(fmt::format("W_L needs n ≥ n_k = {} samples, there are {}", rank, c.data.samples));
  if (c.data.source->law != InputLaw::sphere) {
    notices.push_back(
        fmt::format("W* and its projector are those of inputs on the sphere; these are of {}", c.data.source.name()));
  }
  if (p.module) return skip("W* is that of a two-layer network's neurons");
  const auto network = p.network("W*");
  try {
    const auto projector = HarmonicProjector::make(*network, rank);
    const auto x = p.data.train.x.to(at::kCPU, at::kDouble);
    const auto f_low = p.data.train.y.to(at::kCPU, at::kDouble) - (*sparse)(x);
    const auto w_quadratic = quadratic_solution(*network, *sparse, projector.spectrum());
    const auto signs = random_signs(w.size(0), o.seed, 0).unsqueeze(1);
    const auto solution = linear_solution(projector, x, f_low) + signs * w_quadratic;
    const auto as_w = [&](const at::Tensor& t) { return t.to(w.options()); };
    const auto solution_w = as_w(solution);
    const auto values = bound.values(bound.primitive()->terms(solution_w), solution_w);
    return lemma_three(hessian, w, as_w(projector.low(w)), solution_w, as_w(projector.low(solution)),
                       values.regularized.item<double>(), static_cast<int>(o.draws), o.seed);
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

/// A number, or NaN for null.
double number_at(const JsonReader& reader, const char* key) {
  return reader.any(key).is_null() ? NAN : reader.get<double>(key);
}

/// A mean over random signs, with its interval.
Estimate over_signs(double value, const JsonReader& lemma) {
  const auto draws = static_cast<int>(lemma.get<std::int64_t>("draws"));
  return estimate_with(value, number_at(lemma, "standard_error"), draws - 1,
                       fmt::format("mean over {} draws of S", draws));
}

Figure ritz_figure(const JsonReader& r) {
  Series smallest{.label = "least Ritz value"}, residual{.label = "its residual"};
  for (const auto& step : r.any("steps")) {
    smallest.x.push_back(step.at(0).get<double>());
    smallest.y.push_back(step.at(1).get<double>());
    residual.y.push_back(step.at(2).get<double>());
  }
  residual.x = smallest.x;
  if (smallest.x.size() < 2) return {};
  const double gamma = r.get<double>("gamma");
  const Series refuted{.label = "−γ",
                       .x = {smallest.x.front(), smallest.x.back()},
                       .y = {-gamma, -gamma},
                       .style = SeriesStyle::reference};
  return {.panels = {
              {.title = "Least eigenvalue", .x = {.label = "Lanczos step"}, .series = {smallest, refuted}},
              {.title = "Residual", .x = {.label = "Lanczos step"}, .y = {.logarithmic = true}, .series = {residual}}}};
}

}  // namespace

LandscapeConfig read_landscape_config(const nlohmann::json& json, const std::string& source,
                                      const Catalogue& catalogue) {
  auto c = read_described<LandscapeConfig>(json, source, catalogue);
  if (c.run.empty()) throw InputError(source + ": run: expected a run's folder or a checkpoint, got none");
  c.run = std::filesystem::absolute(c.run).lexically_normal().string();
  c.catalogue = catalogue;
  return c;
}

LandscapePoint read_landscape_point(const LandscapeConfig& c) {
  std::vector<std::string> notices;
  const auto [tensors, config] = load(c, notices);
  check_can_be_shared(config);
  const auto device = pick_device(c.device);
  auto p = make_problem(config, device);
  check_has_hessian(p, c.run);
  // This process's rows of what is of all; blocks were read of its own.
  const auto own = [&](const at::Tensor& t) {
    return !p.module && t.dim() > 0 && t.size(0) == config.model.width ? own_rows(t) : t;
  };
  check_same(c.run, "X", tensors.at("X"), p.data.train.x);
  check_same(c.run, "y", tensors.at("y"), p.data.train.y);
  for (const auto& [name, tensor] : p.start_tensors()) {
    if (!tensors.count(name)) {
      throw InputError(fmt::format("{}: expected a checkpoint of entk train; it has no entry '{}'", c.run, name));
    }
    check_same(c.run, name.c_str(), own(tensors.at(name)), tensor);
  }
  notices.insert(notices.end(), p.notices.begin(), p.notices.end());
  const auto w = own(tensors.at("W")).to(device, p.data.train.x.scalar_type()).contiguous();
  auto model = make_model(p);
  auto objective = make_objective(p, model);
  check_can_be_shared(objective);
  for (const auto& term : objective.terms) {
    if (term.reads != TermReads::model || term.weight == 0) continue;
    throw InputError(fmt::format(
        "{}: regularizers.{}: a landscape takes terms of the vectors and of W, this one is of the whole model", c.run,
        term.name));
  }
  return {std::move(p), std::move(model), std::move(objective), w, std::move(notices)};
}

LandscapeResult study_landscape(const LandscapePoint& point, const LandscapeConfig& c,
                                const std::function<bool(const LanczosProgress&)>& progress) {
  const auto& [p, model, objective, w, notices] = point;
  const auto& asked = c.landscape;
  LandscapeResult r;
  r.notices = notices;
  r.parameters = sum_of_all(w.numel());
  const BoundObjective bound(model, objective, p.data.train,
                             {.memory_limit = static_cast<std::int64_t>(p.config.train.memory_limit_gb * 1e9)});
  const ObjectiveHessian hessian(bound, w);
  r.landscape = landscape(hessian, w.sizes(), w.options(),
                          {.nu = asked.nu,
                           .gamma = asked.gamma,
                           .max_iterations = static_cast<int>(asked.iterations),
                           .failure_probability = asked.failure_probability,
                           .seed = asked.seed,
                           .interrupted = [&](const LanczosProgress& step) {
                             r.steps.push_back(step);
                             return progress && progress(step);
                           }});
  if (asked.draws > 0) r.lemma = lemma_for(p, bound, hessian, w, asked, r.notices);
  return r;
}

nlohmann::json to_json(const LandscapeResult& r, const RunConfig& config) {
  const auto& l = r.landscape;
  const auto& z = l.lanczos;
  nlohmann::json json = {{"verdict", name_of(l.verdict)},
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
                         {"dtype", word_of(config.dtype)},
                         {"parameters", r.parameters},
                         {"notices", r.notices},
                         {"configuration", to_json(config)}};
  json["steps"] = nlohmann::json::array();
  for (const auto& step : r.steps) json["steps"].push_back({step.iterations, step.smallest, step.residual});
  if (r.lemma) {
    const auto& m = *r.lemma;
    json["lemma_3"] = {{"left_side", number(m.left_side)},
                       {"standard_error", number(m.standard_error)},
                       {"hessian_part", number(m.hessian_part)},
                       {"gradient_part", number(m.gradient_part)},
                       {"regularized_loss_of_solution", number(m.solution_value)},
                       {"draws", m.draws}};
  }
  return json;
}

Findings landscape_findings(const nlohmann::json& numbers) {
  const JsonReader r(numbers, "landscape.json");
  const auto at = [&](const char* key) { return number_at(r, key); };
  const auto gradient = at("gradient_norm"), least = at("lambda_min"), value = at("regularized_loss"), nu = at("nu");
  const auto verdict = r.get<std::string>("verdict");
  std::optional<JsonReader> lemma;
  if (r.has("lemma_3")) lemma = r.object("lemma_3");

  Findings found{.table = {lemma ? fmt::format("Landscape at W; means over {} random signs S with their 95% intervals",
                                               lemma->get<std::int64_t>("draws"))
                                 : "Landscape at W",
                           {Column("quantity"), Column("value", 5)},
                           {{"L_λ(W)", value},
                            {"‖∇L_λ(W)‖", gradient},
                            {"ν", nu},
                            {"λ_min: least Rayleigh quotient", least},
                            {"its residual", at("residual")},
                            {"−γ", -at("gamma")},
                            {"largest Ritz value", at("ritz_largest")},
                            {"Lanczos steps", at("iterations")},
                            {"failure probability", at("failure_probability")}}},
                 .figures = {{"ritz", ritz_figure(r),
                              "The least Ritz value, an upper bound of the Hessian's least eigenvalue, along Lanczos' "
                              "steps, and its residual."}},
                 .notes = {r.get<std::string>("statement")},
                 .warnings = r.get<std::vector<std::string>>("notices"),
                 .numbers = numbers};
  Table keys{"", {Column("key"), Column("value")}, {}};
  for_each_key(r.any("configuration"), "",
               [&](const std::string& path, const auto& of) { keys.rows.push_back({path, of.dump()}); });
  const auto standard = to_json(RunConfig{});
  std::stable_partition(keys.rows.begin(), keys.rows.end(), [&](const auto& row) {
    const auto& path = std::get<std::string>(row[0].content);
    return value_at(standard, path).dump() != std::get<std::string>(row[1].content);
  });
  found.tables = {{"The run's configuration", std::move(keys)}};

  const auto text = [](double v) { return format_number(v, 3); };
  Claim corollary{.source = "Corollary 1",
                  .statement = "A (ν, γ)-second-order stationary point of L_λ has a small loss L_λ.",
                  .paper = "L_λ ≲ ε_min",
                  .ours = fmt::format("‖∇L_λ‖ = {}, λ_min = {}, L_λ = {}", text(gradient), text(least), text(value)),
                  .verdict = Verdict::too_small_to_tell,
                  .figure = "ritz"};
  if (verdict == name_of(StationaryVerdict::none_found)) {
    corollary.reason =
        "W passes as a second-order stationary point; L_λ(W) is to be compared with ε_min, whose constant and whose "
        "width m ≥ n⁴d^(26(k+1)/3)ε^(−22/3) no run here can have";
  } else if (verdict == name_of(StationaryVerdict::undecided)) {
    corollary.reason = "whether W is a second-order stationary point is undecided after so few Lanczos steps";
  } else {
    corollary.reason = "W is no second-order stationary point, so the corollary does not speak of it";
  }
  found.claims.push_back(std::move(corollary));
  if (!lemma) return found;

  const auto left_side = over_signs(number_at(*lemma, "left_side"), *lemma);
  auto& rows = found.table.rows;
  rows.push_back({"E_S ∇²L_λ[SW*, SW*]", over_signs(number_at(*lemma, "hessian_part"), *lemma)});
  rows.push_back({"L_λ(W*)", number_at(*lemma, "regularized_loss_of_solution")});
  rows.push_back({"Lemma 3's left side (31)", left_side});
  // A left side above 0 may still be of the order of ε_min, whose constant is not known: no interval contradicts the
  // lemma.
  const bool above = left_side.has_interval() && left_side.low > 0;
  found.claims.push_back(judged(
      {.source = "Lemma 3",
       .statement = "At a ν-first-order stationary point the left side of (31) is at most of the order of ε_min.",
       .paper = "≲ ε_min",
       .reason = "the left side over random signs, W_L and W_L* read as projections; held where it is at most 0, "
                 "which no ε_min can contradict",
       .evidence = {{"left side", left_side, -INFINITY, 0}}},
      true,
      gradient > nu ? "needs ‖∇L_λ‖ ≤ ν"
      : above       ? "needs ε_min, whose constant is not known"
                    : ""));
  return found;
}

namespace {

class LandscapeTask : public Task {
 public:
  explicit LandscapeTask(LandscapeConfig config) : config_(std::move(config)) {}

  nlohmann::json config() const override { return write_described(config_); }
  std::string device() const override { return config_.device; }
  std::int64_t threads() const override { return config_.threads; }
  void prepare() override { point_ = read_landscape_point(config_); }
  std::vector<Unit> units(const TakeContext& context) override {
    const auto file = context.folder.file("landscape.json");
    Unit unit{.name = "landscape", .take = [=, this, &context](const RunFolder&) {
                bool stopped = false;
                const auto result = study_landscape(*point_, config_, [&](const LanczosProgress& step) {
                  if (context.line && step.iterations % 25 == 0) {
                    context.line(fmt::format("Lanczos step {}: least Ritz value {:.4g}, residual {:.1e}",
                                             step.iterations, step.smallest, step.residual));
                  }
                  const auto& interrupted = context.hooks.interrupted;
                  stopped = largest_of_all(interrupted ? interrupted() : 0) != 0 || stopped;
                  return stopped;
                });
                RunOutcome outcome;
                outcome.state = RunState::interrupted;
                if (stopped) return outcome;
                const auto& vector = result.landscape.lanczos.vector;
                const auto direction = point_->problem.module ? vector : gather_rows(vector);
                const auto numbers = to_json(result, point_->problem.config);
                if (leads()) {
                  write_pt(context.folder.file("direction.pt"), {{"direction", direction}});
                  write_file_atomically(file, dump_json(numbers));
                }
                return outcome_of(numbers);
              }};
    if (std::filesystem::exists(file)) unit.settled = outcome_of(load_json(file));
    return {unit};
  }
  Findings findings(const std::filesystem::path& folder) const override {
    if (!std::filesystem::exists(folder / "landscape.json")) return {};
    return landscape_findings(load_json(folder / "landscape.json"));
  }

 private:
  static RunOutcome outcome_of(const nlohmann::json& numbers) {
    RunOutcome outcome;
    const auto verdict = numbers.at("verdict");
    if (verdict == name_of(StationaryVerdict::not_sosp) || verdict == name_of(StationaryVerdict::undecided)) {
      outcome.code = ExitCode::check_failed;
      outcome.message = numbers.at("statement").get<std::string>();
    }
    return outcome;
  }

  LandscapeConfig config_;
  std::optional<LandscapePoint> point_;
};

/// --gamma X for the key landscape.gamma.
Shortcut asked(const std::string& key, const std::string& value_name, const std::string& meaning) {
  auto option = key;
  std::replace(option.begin(), option.end(), '_', '-');
  return {"--" + option, value_name, meaning, [key](nlohmann::json& config, const std::string& value) {
            config["landscape"][key] = parse_override(key + "=" + value).value;
          }};
}

}  // namespace

Study landscape_study() {
  const std::string minimum = "{figure1}/runs/lambda.3=10,seed=1";
  return {.name = "landscape",
          .summary =
              "Is a W a second-order stationary point of its regularized loss? exit 1: a direction below -gamma, or "
              "undecided",
          .title = "The landscape at a trained W",
          .standard = write_described(LandscapeConfig{}),
          .keys = list_described(LandscapeConfig{}),
          .read = [](const nlohmann::json& json, const std::string& source,
                     const Catalogue& catalogue) -> std::unique_ptr<Task> {
            return std::make_unique<LandscapeTask>(read_landscape_config(json, source, catalogue));
          },
          .estimates_memory = false,
          .shared_out = true,
          .shortcuts = {{"RUN", "DIR", "a run's folder or a checkpoint.pt",
                         [](nlohmann::json& config, const std::string& value) { config["run"] = value; }},
                        asked("nu", "X", "largest gradient norm of a stationary point [m^(-1/2)]"),
                        asked("gamma", "X", "curvature below -gamma refutes it [m^(-3/4)]"),
                        asked("iterations", "N", "Lanczos steps at most; each keeps m*d numbers [300]"),
                        asked("failure_probability", "P",
                              "stop once a direction below -gamma is missed with at most this probability [1e-6]"),
                        asked("draws", "N", "random signs for Lemma 3's left side; 0: leave it out [20]"),
                        asked("seed", "N", "of the start and the signs [1]")},
          .stages = {{.name = "landscape",
                      .title = "The landscape at a trained W",
                      .source = "Theorem 3, Lemma 3",
                      .claim = "Second-order stationary points of the regularized loss are good; gradient descent with "
                               "noise reaches one.",
                      .command = {"landscape"},
                      .quick = {minimum},
                      .published = {minimum},
                      .takes_device = false}}};
}

}  // namespace entk
