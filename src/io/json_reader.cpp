#include "entk/io/json_reader.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>
#include <type_traits>
#include <utility>

#include "entk/base/error.h"
#include "entk/io/text.h"

namespace entk {

namespace {

using nlohmann::json;

template <class T>
struct ListOf {
  using Entry = void;
};
template <class T>
struct ListOf<std::vector<T>> {
  using Entry = T;
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// "an integer of at least 1"
template <class T>
std::string expectation(const Range& range) {
  using Entry = typename ListOf<T>::Entry;
  if constexpr (!std::is_void_v<Entry>) {
    return "a list, each entry " + expectation<Entry>(range);
  } else {
    std::string text = "a number";
    if constexpr (std::is_same_v<T, bool>) text = "true or false";
    if constexpr (std::is_same_v<T, std::int64_t>) text = "an integer";
    if constexpr (std::is_same_v<T, std::uint64_t>) text = "a non-negative integer";
    if constexpr (std::is_same_v<T, std::string>) text = "a string";
    if (!range.one_of.empty()) return "one of " + joined(range.one_of);
    std::string bounds;
    const auto bound = [&](const char* words, const std::optional<double>& value) {
      if (value) bounds += (bounds.empty() ? " " : " and ") + std::string(words) + " " + shortest(*value);
    };
    bound("of at least", range.at_least);
    bound("above", range.above);
    bound("of at most", range.at_most);
    bound("below", range.below);
    return text + bounds;
  }
}

// long double holds every int64, uint64 and double.
bool within(long double value, const Range& range) {
  return !(range.at_least && value < *range.at_least) && !(range.above && value <= *range.above) &&
         !(range.at_most && value > *range.at_most) && !(range.below && value >= *range.below);
}

/// The value, or nothing if it is of another type or out of range.
template <class T>
std::optional<T> converted(const json& value, const Range& range) {
  using Entry = typename ListOf<T>::Entry;
  if constexpr (!std::is_void_v<Entry>) {
    if (!value.is_array()) return std::nullopt;
    T list;
    for (const json& item : value) {
      auto entry = converted<Entry>(item, range);
      if (!entry) return std::nullopt;
      list.push_back(std::move(*entry));
    }
    return list;
  } else if constexpr (std::is_same_v<T, bool>) {
    return value.is_boolean() ? std::optional(value.get<bool>()) : std::nullopt;
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!value.is_string()) return std::nullopt;
    const auto text = value.get<std::string>();
    const auto& names = range.one_of;
    const bool known = names.empty() || std::find(names.begin(), names.end(), text) != names.end();
    return known ? std::optional(text) : std::nullopt;
  } else {
    bool fits = value.is_number();
    if constexpr (std::is_same_v<T, double>) {
      fits = fits && std::isfinite(value.get<double>());
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      fits = value.is_number_integer() && !(value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX);
    } else {
      fits = value.is_number_unsigned() || (value.is_number_integer() && value.get<std::int64_t>() >= 0);
    }
    if (!fits || !within(value.get<T>(), range)) return std::nullopt;
    return value.get<T>();
  }
}

/// A value for a message: one line, not long.
std::string shown(const json& value) {
  constexpr std::size_t longest = 60;
  if (value.is_object()) return "an object";
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > longest) text = text.substr(0, longest) + "...";
  return text;
}

/// Edit distance with exchanges of neighbours, letters of either case alike.
std::size_t distance(std::string_view a, std::string_view b) {
  const auto letter = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  std::vector<std::vector<std::size_t>> table(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        table[i][j] = i + j;
        continue;
      }
      const bool same = letter(a[i - 1]) == letter(b[j - 1]);
      table[i][j] = std::min({table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && letter(a[i - 1]) == letter(b[j - 2]) && letter(a[i - 2]) == letter(b[j - 1])) {
        table[i][j] = std::min(table[i][j], table[i - 2][j - 2] + 1);
      }
    }
  }
  return table[a.size()][b.size()];
}

}  // namespace

std::optional<std::string> nearest_name(std::string_view word, const std::vector<std::string>& candidates) {
  constexpr std::size_t longest = 100;
  if (word.size() > longest) return std::nullopt;
  const std::string* best = nullptr;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t d = distance(word, std::string_view(candidate).substr(0, longest));
    if (d < best_distance) {
      best = &candidate;
      best_distance = d;
    }
  }
  return best != nullptr ? std::optional(*best) : std::nullopt;
}

struct JsonReader::State {
  std::shared_ptr<const json> root;  // keeps `value` alive
  const json* value;
  std::string file, path;
  std::set<std::string> known, read;
  std::vector<std::shared_ptr<State>> children;

  std::string full(const std::string& key) const { return path.empty() ? key : path + "." + key; }
  [[noreturn]] void fail(const std::string& where, const std::string& why) const {
    throw InputError(file + ": " + (where.empty() ? "" : where + ": ") + why);
  }
};

JsonReader::JsonReader(json value, std::string file, std::string path) : state_(std::make_shared<State>()) {
  state_->root = std::make_shared<const json>(std::move(value));
  state_->value = state_->root.get();
  state_->file = std::move(file);
  state_->path = std::move(path);
  if (!state_->value->is_object()) {
    state_->fail(state_->path, "expected an object, got " + shown(*state_->value));
  }
}

bool JsonReader::has(const std::string& key) const {
  state_->known.insert(key);
  return state_->value->contains(key);
}

const json& JsonReader::find(const std::string& key, const std::string& expected) const {
  if (!has(key)) {
    // A misspelt key is the likely reason.
    std::vector<std::string> others;
    for (const auto& item : state_->value->items()) {
      if (state_->known.count(item.key()) == 0) others.push_back(item.key());
    }
    const auto near = nearest_name(key, others);
    state_->fail(state_->full(key),
                 "missing, expected " + expected + (near ? "; found the key " + in_quotes(*near) : ""));
  }
  state_->read.insert(key);
  return *state_->value->find(key);
}

template <class T>
T JsonReader::get(const std::string& key, const Range& range) const {
  const std::string expected = expectation<T>(range);
  const json& value = find(key, expected);
  auto result = converted<T>(value, range);
  if (result) {
    if constexpr (!std::is_void_v<typename ListOf<T>::Entry>) {
      if (range.nonempty && result->empty()) fail(key, "at least one value");
      if (range.distinct && std::set(result->begin(), result->end()).size() != result->size()) {
        fail(key, "each value once");
      }
    }
    return *std::move(result);
  }
  std::string hint;
  if (value.is_string()) {
    const auto near = nearest_name(value.get<std::string>(), range.one_of);
    if (near) hint = " (did you mean " + *near + "?)";
  }
  state_->fail(state_->full(key), "expected " + expected + ", got " + shown(value) + hint);
}

template <class T>
T JsonReader::get_or(const std::string& key, T fallback, const Range& range) const {
  return has(key) ? get<T>(key, range) : std::move(fallback);
}

JsonReader JsonReader::child(const json& value, const std::string& name) const {
  for (const auto& known : state_->children) {
    if (known->value == &value) return JsonReader(known);
  }
  auto state = std::make_shared<State>();
  state->root = state_->root;
  state->value = &value;
  state->file = state_->file;
  state->path = state_->full(name);
  if (!value.is_object()) state->fail(state->path, "expected an object, got " + shown(value));
  state_->children.push_back(state);
  return JsonReader(std::move(state));
}

JsonReader JsonReader::object(const std::string& key) const { return child(find(key, "an object"), key); }

std::vector<JsonReader> JsonReader::objects(const std::string& key) const {
  const json& list = find(key, "a list of objects");
  if (!list.is_array()) fail(key, "a list of objects");
  std::vector<JsonReader> result;
  for (std::size_t i = 0; i < list.size(); ++i) result.push_back(child(list[i], key + "." + std::to_string(i)));
  return result;
}

const json& JsonReader::any(const std::string& key) const { return find(key, "a value"); }

json JsonReader::rest() const {
  auto others = json::object();
  for (const auto& [key, value] : state_->value->items()) {
    if (state_->known.count(key) == 0) others[key] = value;
  }
  for (const auto& [key, value] : others.items()) state_->read.insert(key);
  return others;
}

void JsonReader::finish() const {
  for (const auto& item : state_->value->items()) {
    if (state_->read.count(item.key()) != 0) continue;
    const std::vector<std::string> known(state_->known.begin(), state_->known.end());
    const auto near = nearest_name(item.key(), known);
    std::string hint = "no key is known here";
    if (!known.empty()) hint = "known keys: " + joined(known);
    if (near) hint = "did you mean " + in_quotes(*near) + "?";
    state_->fail(state_->full(item.key()), "unknown key; " + hint);
  }
  for (const auto& inner : state_->children) JsonReader(inner).finish();
}

JsonReader JsonReader::copy() const { return JsonReader(*state_->value, state_->file, state_->path); }

const std::string& JsonReader::file() const { return state_->file; }

std::string JsonReader::path(const std::string& key) const { return state_->full(key); }

void JsonReader::fail(const std::string& key, const std::string& expected) const {
  const auto found = state_->value->find(key);
  state_->fail(state_->full(key),
               "expected " + expected + ", got " + (found != state_->value->end() ? shown(*found) : "nothing"));
}

#define ENTK_INSTANTIATE(T)                                              \
  template T JsonReader::get<T>(const std::string&, const Range&) const; \
  template T JsonReader::get_or<T>(const std::string&, T, const Range&) const;
ENTK_INSTANTIATE(bool)
ENTK_INSTANTIATE(std::int64_t)
ENTK_INSTANTIATE(std::uint64_t)
ENTK_INSTANTIATE(double)
ENTK_INSTANTIATE(std::string)
ENTK_INSTANTIATE(std::vector<std::int64_t>)
ENTK_INSTANTIATE(std::vector<std::uint64_t>)
ENTK_INSTANTIATE(std::vector<double>)
ENTK_INSTANTIATE(std::vector<std::string>)
#undef ENTK_INSTANTIATE

}  // namespace entk
