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
#include <utility>

#include "entk/data/entries.h"
#include "entk/models/entries.h"
#include "entk/train/entries.h"

namespace entk {

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
  /// `kind` is for messages. @throws InputError for a name that is taken or has other characters than
  /// letters, digits, '_' and '-', for parameters of one name, and for an empty maker.
  void add(const char* kind, E entry);

  /// What {"name": …, parameters} stands for. @throws InputError for an unknown name, with the nearest one.
  template <class... S>
  auto make(const JsonReader& reader, const S&... settings) const {
    const E& entry = *find(reader.get<std::string>("name", {.one_of = names()}));
    return entry.make(Parameters(reader, entry.parameters), settings...);
  }

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
                        std::function<Activation(const Parameters&)> make);
  /// See ModelEntry: `make` gives a torch::nn::AnyModule.
  Catalogue& model(std::string name, std::string meaning, std::vector<Parameter> parameters,
                   std::function<torch::nn::AnyModule(const Parameters&, const ModelSetting&)> make);
  /// The mean of ℓ over a sample.
  Catalogue& loss(std::string name, std::string meaning, std::vector<Parameter> parameters,
                  std::function<Loss(const Parameters&)> make);
  /// η_t/η.
  Catalogue& schedule(std::string name, std::string meaning, std::vector<Parameter> parameters,
                      std::function<Schedule(const Parameters&)> make);
  /// How gradients move W.
  Catalogue& update(std::string name, std::string meaning, std::vector<Parameter> parameters,
                    std::function<UpdateRule(const Parameters&)> make);
  /// f*, for a dimension, a law and a seed.
  Catalogue& target(std::string name, std::string meaning, std::vector<Parameter> parameters,
                    std::function<Target(const Parameters&, const TargetSetting&)> make);
  /// A term of the objective, for a run.
  Catalogue& regularizer(std::string name, std::string meaning, std::vector<Parameter> parameters,
                         std::function<Term(const Parameters&, const Setting&)> make);
  /// What a run measures at its records.
  Catalogue& observable(std::string name, std::string meaning, std::vector<Parameter> parameters,
                        std::function<Observable(const Parameters&, const Setting&)> make);

  const Shelf<ActivationEntry>& activations() const { return activations_; }     ///< by name
  const Shelf<ModelEntry>& models() const { return models_; }                    ///< by name
  const Shelf<LossEntry>& losses() const { return losses_; }                     ///< by name
  const Shelf<ScheduleEntry>& schedules() const { return schedules_; }           ///< by name
  const Shelf<UpdateEntry>& updates() const { return updates_; }                 ///< by name
  const Shelf<TargetEntry>& targets() const { return targets_; }                 ///< by name
  const Shelf<RegularizerEntry>& regularizers() const { return regularizers_; }  ///< by name
  const Shelf<ObservableEntry>& observables() const { return observables_; }     ///< by name
  std::vector<KindInfo> list() const;                                            ///< everything, kind by kind

  /// A catalogue for showing folders that other programs made: reading a configuration refuses no name.
  /// Nothing can be made of a name that is not there.
  Catalogue tolerant() const;
  bool is_tolerant() const { return tolerant_; }  ///< whether it is such a one

 private:
  friend Catalogue built_in_catalogue();
  friend Catalogue with_built_ins(const Catalogue& own);

  Shelf<ActivationEntry> activations_;
  Shelf<ModelEntry> models_;
  Shelf<LossEntry> losses_;
  Shelf<ScheduleEntry> schedules_;
  Shelf<UpdateEntry> updates_;
  Shelf<TargetEntry> targets_;
  Shelf<RegularizerEntry> regularizers_;
  Shelf<ObservableEntry> observables_;
  bool tolerant_ = false;
};

/// What entk has.
Catalogue built_in_catalogue();
/// That, and a user's own. @throws InputError where both have a name.
Catalogue with_built_ins(const Catalogue& own);

}  // namespace entk
