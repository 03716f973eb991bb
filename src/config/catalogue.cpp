#include "entk/config/catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "entk/base/error.h"
#include "entk/io/text.h"

namespace entk {

namespace {

/// A name is part of paths (regularizers.NAME), of columns and of folders' names.
bool is_plain(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

/// Calls visit(shelf) for each.
template <class Shelves, class F>
void for_each_shelf(Shelves& shelves, F&& visit) {
  std::apply([&](auto&... shelf) { (visit(shelf), ...); }, shelves);
}

}  // namespace

template <class E>
void Shelf<E>::add(E entry) {
  const auto fail = [&](const std::string& what) {
    throw InputError(fmt::format("{} {}: {}", Kind<E>::one, in_quotes(entry.name), what));
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

template class Shelf<ActivationEntry>;
template class Shelf<ModelEntry>;
template class Shelf<DataSourceEntry>;
template class Shelf<TargetEntry>;
template class Shelf<LossEntry>;
template class Shelf<RegularizerEntry>;
template class Shelf<ObservableEntry>;
template class Shelf<ScheduleEntry>;
template class Shelf<UpdateEntry>;

Catalogue& Catalogue::data_source(std::string name, std::string meaning, std::vector<Parameter> parameters,
                                  std::function<Samples(const Parameters&, const DataSetting&)> make,
                                  std::optional<InputLaw> law) {
  std::function<DataSource(const Parameters&)> source;
  if (make) {
    source = [make = std::move(make), law](const Parameters& p) {
      // A copy for each sample, of which several may be drawn at once.
      return DataSource{[make, p = p.copy()](const DataSetting& s) { return make(p.copy(), s); }, {}, law};
    };
  }
  return add(DataSourceEntry{std::move(name), std::move(meaning), std::move(parameters), std::move(source)});
}

std::vector<KindInfo> Catalogue::list() const {
  std::vector<KindInfo> kinds;
  for_each_shelf(shelves_, [&]<class E>(const Shelf<E>& shelf) {
    KindInfo all{Kind<E>::many, {}};
    for (const auto& e : shelf.entries()) all.entries.push_back({e.name, e.meaning, e.parameters});
    kinds.push_back(std::move(all));
  });
  return kinds;
}

Catalogue Catalogue::tolerant() const {
  auto copy = *this;
  copy.tolerant_ = true;
  return copy;
}

Catalogue built_in_catalogue() {
  static const Catalogue made = [] {
    Catalogue c;
    for_each_shelf(c.shelves_, []<class E>(Shelf<E>& shelf) { shelf = Shelf<E>(Kind<E>::built_in()); });
    return c;
  }();
  return made;
}

Catalogue with_built_ins(const Catalogue& own) {
  auto all = built_in_catalogue();
  for_each_shelf(own.shelves_, [&]<class E>(const Shelf<E>& shelf) {
    for (const auto& entry : shelf.entries()) all.add(entry);
  });
  return all;
}

}  // namespace entk
