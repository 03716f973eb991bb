#include "entk/config/catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "entk/base/error.h"
#include "entk/io/text.h"

namespace entk {

namespace {

template <class E>
KindInfo info(const char* kind, const Shelf<E>& shelf) {
  KindInfo all{kind, {}};
  for (const auto& e : shelf.entries()) all.entries.push_back({e.name, e.meaning, e.parameters});
  return all;
}

/// A name is part of paths (regularizers.NAME), of columns and of folders' names.
bool is_plain(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

template <class E>
void add_all(const char* kind, Shelf<E>& to, const Shelf<E>& from) {
  for (const auto& entry : from.entries()) to.add(kind, entry);
}

}  // namespace

template <class E>
void Shelf<E>::add(const char* kind, E entry) {
  const auto fail = [&](const std::string& what) {
    throw InputError(fmt::format("{} {}: {}", kind, in_quotes(entry.name), what));
  };
  if (!is_plain(entry.name)) fail("expected a name of letters, digits, '_' and '-'");
  if (find(entry.name)) fail("there is one of this name already");
  if (!entry.make) fail("its maker is empty");
  std::set<std::string> parameters{"name", "weight"};  // what stands next to them in a configuration
  for (const auto& p : entry.parameters) {
    if (!is_plain(p.name) || !parameters.insert(p.name).second) {
      fail(fmt::format(
          "parameter {}: expected another name: letters, digits, '_' and '-', each once, not name or weight",
          in_quotes(p.name)));
    }
  }
  auto more = *entries_;
  more.push_back(std::move(entry));
  entries_ = std::make_shared<const std::vector<E>>(std::move(more));
}

Catalogue& Catalogue::activation(std::string name, std::string meaning, std::vector<Parameter> parameters,
                                 std::function<Activation(const Parameters&)> make) {
  activations_.add("activation", {std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  return *this;
}

Catalogue& Catalogue::model(std::string name, std::string meaning, std::vector<Parameter> parameters,
                            std::function<torch::nn::AnyModule(const Parameters&, const ModelSetting&)> make) {
  models_.add("model", {std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  return *this;
}

Catalogue& Catalogue::loss(std::string name, std::string meaning, std::vector<Parameter> parameters,
                           std::function<Loss(const Parameters&)> make) {
  losses_.add("loss", {std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  return *this;
}

Catalogue& Catalogue::schedule(std::string name, std::string meaning, std::vector<Parameter> parameters,
                               std::function<Schedule(const Parameters&)> make) {
  schedules_.add("schedule", {std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  return *this;
}

Catalogue& Catalogue::update(std::string name, std::string meaning, std::vector<Parameter> parameters,
                             std::function<UpdateRule(const Parameters&)> make) {
  updates_.add("update", {std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  return *this;
}

Catalogue& Catalogue::target(std::string name, std::string meaning, std::vector<Parameter> parameters,
                             std::function<Target(const Parameters&, const TargetSetting&)> make) {
  targets_.add("target", {std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  return *this;
}

Catalogue& Catalogue::regularizer(std::string name, std::string meaning, std::vector<Parameter> parameters,
                                  std::function<Term(const Parameters&, const Setting&)> make) {
  regularizers_.add("regularizer", {std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  return *this;
}

Catalogue& Catalogue::observable(std::string name, std::string meaning, std::vector<Parameter> parameters,
                                 std::function<Observable(const Parameters&, const Setting&)> make) {
  observables_.add("observable", {std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  return *this;
}

std::vector<KindInfo> Catalogue::list() const {
  return {info("activations", activations_),   info("losses", losses_),          info("models", models_),
          info("schedules", schedules_),       info("updates", updates_),        info("targets", targets_),
          info("regularizers", regularizers_), info("observables", observables_)};
}

Catalogue Catalogue::tolerant() const {
  auto copy = *this;
  copy.tolerant_ = true;
  return copy;
}

Catalogue built_in_catalogue() {
  static const Catalogue made = [] {
    Catalogue c;
    c.activations_ = Shelf<ActivationEntry>(built_in_activations());
    c.models_ = Shelf<ModelEntry>(built_in_models());
    c.losses_ = Shelf<LossEntry>(built_in_losses());
    c.schedules_ = Shelf<ScheduleEntry>(built_in_schedules());
    c.updates_ = Shelf<UpdateEntry>(built_in_updates());
    c.targets_ = Shelf<TargetEntry>(built_in_targets());
    c.regularizers_ = Shelf<RegularizerEntry>(built_in_regularizers());
    c.observables_ = Shelf<ObservableEntry>(built_in_observables());
    return c;
  }();
  return made;
}

Catalogue with_built_ins(const Catalogue& own) {
  auto all = built_in_catalogue();
  add_all("activation", all.activations_, own.activations_);
  add_all("model", all.models_, own.models_);
  add_all("loss", all.losses_, own.losses_);
  add_all("schedule", all.schedules_, own.schedules_);
  add_all("update", all.updates_, own.updates_);
  add_all("target", all.targets_, own.targets_);
  add_all("regularizer", all.regularizers_, own.regularizers_);
  add_all("observable", all.observables_, own.observables_);
  return all;
}

}  // namespace entk
