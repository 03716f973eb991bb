// The catalogue: everything that a configuration calls by name. Built-in things and a user's own are entries
// of the same kind; a catalogue is a value that is passed, and nothing is registered anywhere.
//
//   entk::Catalogue own;
//   own.activation("sine", "sin(z + shift)", {{"shift", 1.0}}, [](const entk::Parameters& p) {
//     return entk::activation("sine", [shift = p["shift"]](const at::Tensor& z) { return (z + shift).sin(); });
//   });
//   return entk::run_program(argc, argv, own);
#pragma once

#include <memory>
#include <tuple>
#include <utility>

#include "entk/data/entries.h"
#include "entk/models/entries.h"
#include "entk/train/entries.h"

namespace entk {

/// What a kind is called, in the plural as `entk list` has it, and what it has built in.
template <class E>
struct Kind;
/// @cond
template <>
struct Kind<ActivationEntry> {
  static constexpr const char *one = "activation", *many = "activations";
  static constexpr auto built_in = built_in_activations;
};
template <>
struct Kind<ModelEntry> {
  static constexpr const char *one = "model", *many = "models";
  static constexpr auto built_in = built_in_models;
};
template <>
struct Kind<DataSourceEntry> {
  static constexpr const char *one = "data source", *many = "data-sources";
  static constexpr auto built_in = built_in_data_sources;
};
template <>
struct Kind<TargetEntry> {
  static constexpr const char *one = "target", *many = "targets";
  static constexpr auto built_in = built_in_targets;
};
template <>
struct Kind<LossEntry> {
  static constexpr const char *one = "loss", *many = "losses";
  static constexpr auto built_in = built_in_losses;
};
template <>
struct Kind<RegularizerEntry> {
  static constexpr const char *one = "regularizer", *many = "regularizers";
  static constexpr auto built_in = built_in_regularizers;
};
template <>
struct Kind<ObservableEntry> {
  static constexpr const char *one = "observable", *many = "observables";
  static constexpr auto built_in = built_in_observables;
};
template <>
struct Kind<ScheduleEntry> {
  static constexpr const char *one = "schedule", *many = "schedules";
  static constexpr auto built_in = built_in_schedules;
};

template <>
struct Kind<UpdateEntry> {
  static constexpr const char *one = "update", *many = "updates";
  static constexpr auto built_in = built_in_updates;
};
/// @endcond

/// One kind of named things. Copies are cheap.
template <class E>
class Shelf {
 public:
  Shelf() : entries_(std::make_shared<const std::vector<E>>()) {}
  explicit Shelf(const std::vector<E>& entries)
      : entries_(std::make_shared<const std::vector<E>>(entries)) {}  ///< of these

  const std::vector<E>& entries() const { return *entries_; }  ///< in the order in which they were added
  /// The entry of this name, or null.
  const E* find(const std::string& name) const {
    for (const auto& e : *entries_) {
      if (e.name == name) return &e;
    }
    return nullptr;
  }
  /// In their order.
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& e : *entries_) all.push_back(e.name);
    return all;
  }
  /// @throws InputError for a name that is taken or has other characters than letters, digits, '_' and '-', for
  /// parameters of one name, and for an empty maker.
  void add(E entry);

 private:
  std::shared_ptr<const std::vector<E>> entries_;
};

/// An entry without its maker, for lists.
struct EntryInfo {
  std::string name;                   ///< as a configuration has it
  std::string meaning;                ///< one line
  std::vector<Parameter> parameters;  ///< with their defaults and ranges
};
/// The entries of one kind.
struct KindInfo {
  std::string kind;                ///< in the plural, as `entk list` takes it
  std::vector<EntryInfo> entries;  ///< in their order
};

/// Named things of every kind. Each adder takes a name, one line, the parameters with defaults and ranges, and what
/// makes the thing; @throws InputError as Shelf::add.
class Catalogue {
 public:
  /// Empty: for a user's own.
  Catalogue() = default;

  /// σ; it is checked by differences when it is made.
  Catalogue& activation(std::string name, std::string meaning, std::vector<Parameter> parameters,
                        std::function<Activation(const Parameters&)> make) {
    return add(ActivationEntry{std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  }
  /// `make` gives a torch::nn::AnyModule at its start: see ModelEntry.
  Catalogue& model(std::string name, std::string meaning, std::vector<Parameter> parameters,
                   std::function<torch::nn::AnyModule(const Parameters&, const ModelSetting&)> make) {
    return add(ModelEntry{std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  }
  /// `make` gives one sample: X: samples×d, and y: samples, or undefined where y is the target's values at X. It is
  /// asked for training, test, unlabeled and fresh inputs apart. `law`: that of X, where it is of one.
  Catalogue& data_source(std::string name, std::string meaning, std::vector<Parameter> parameters,
                         std::function<Samples(const Parameters&, const DataSetting&)> make,
                         std::optional<InputLaw> law = {});
  /// f*, for a dimension, a law and a seed.
  Catalogue& target(std::string name, std::string meaning, std::vector<Parameter> parameters,
                    std::function<Target(const Parameters&, const TargetSetting&)> make) {
    return add(TargetEntry{std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  }
  /// A term of the objective, for a run.
  Catalogue& regularizer(std::string name, std::string meaning, std::vector<Parameter> parameters,
                         std::function<Term(const Parameters&, const Setting&)> make) {
    return add(RegularizerEntry{std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  }
  /// The mean of ℓ over a sample.
  Catalogue& loss(std::string name, std::string meaning, std::vector<Parameter> parameters,
                  std::function<Loss(const Parameters&)> make) {
    return add(LossEntry{std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  }
  /// η_t/η.
  Catalogue& schedule(std::string name, std::string meaning, std::vector<Parameter> parameters,
                      std::function<Schedule(const Parameters&)> make) {
    return add(ScheduleEntry{std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  }
  /// How gradients move W.
  Catalogue& update(std::string name, std::string meaning, std::vector<Parameter> parameters,
                    std::function<UpdateRule(const Parameters&)> make) {
    return add(UpdateEntry{std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  }
  /// What a run measures at its records.
  Catalogue& observable(std::string name, std::string meaning, std::vector<Parameter> parameters,
                        std::function<Observable(const Parameters&, const Setting&)> make) {
    return add(ObservableEntry{std::move(name), std::move(meaning), std::move(parameters), std::move(make)});
  }

  /// The entries of a kind, by their type: shelf<ActivationEntry>().
  template <class E>
  const Shelf<E>& shelf() const {
    return std::get<Shelf<E>>(shelves_);
  }
  /// Everything, kind by kind.
  std::vector<KindInfo> list() const;

  /// A catalogue for showing folders that other programs made: reading a configuration refuses no name.
  /// Nothing can be made of a name that is not there.
  Catalogue tolerant() const;
  bool is_tolerant() const { return tolerant_; }  ///< whether it is such a one

 private:
  friend Catalogue built_in_catalogue();
  friend Catalogue with_built_ins(const Catalogue& own);

  template <class E>
  Catalogue& add(E entry) {
    std::get<Shelf<E>>(shelves_).add(std::move(entry));
    return *this;
  }

  /// In the order of `list`.
  std::tuple<Shelf<ActivationEntry>, Shelf<ModelEntry>, Shelf<DataSourceEntry>, Shelf<TargetEntry>, Shelf<LossEntry>,
             Shelf<RegularizerEntry>, Shelf<ObservableEntry>, Shelf<ScheduleEntry>, Shelf<UpdateEntry>>
      shelves_;
  bool tolerant_ = false;
};

/// What entk has.
Catalogue built_in_catalogue();
/// That, and a user's own. @throws InputError where both have a name.
Catalogue with_built_ins(const Catalogue& own);

}  // namespace entk
