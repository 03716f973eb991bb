// One description of a configuration serves three readers: the strict parser, the writer of
// config.json, and the list of keys that --help shows.
#pragma once

#include <c10/core/ScalarType.h>

#include <algorithm>
#include <concepts>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "entk/config/catalogue.h"

namespace entk {

/// The words that a configuration has for an enumeration's values: `static constexpr std::pair<const char*, E> all[]`.
template <class E>
struct WordsOf;
template <>
struct WordsOf<at::ScalarType> {
  static constexpr std::pair<const char*, at::ScalarType> all[] = {{"float32", at::kFloat}, {"float64", at::kDouble}};
};

template <class E>
std::vector<std::string> words() {
  std::vector<std::string> names;
  for (const auto& [word, value] : WordsOf<E>::all) names.emplace_back(word);
  return names;
}
template <class E>
std::string word_of(E value) {
  return std::find_if(std::begin(WordsOf<E>::all), std::end(WordsOf<E>::all),
                      [&](auto& w) { return w.second == value; })
      ->first;
}
/// @throws InputError naming the key for a word that is none.
template <class E>
E from_word(const JsonReader& reader, const std::string& key) {
  const auto names = words<E>();
  const auto word = reader.get<std::string>(key, {.one_of = names});
  return WordsOf<E>::all[std::find(names.begin(), names.end(), word) - names.begin()].second;
}
template <class E>
E from_word(const std::string& word, const std::string& option) {
  return from_word<E>(JsonReader({{option, word}}, "command line"), option);
}

/// The same of a list.
template <class E>
std::vector<E> from_words(const JsonReader& reader, const std::string& key, Range range = {}) {
  const auto names = words<E>();
  range.one_of = names;
  std::vector<E> values;
  for (const auto& word : reader.get<std::vector<std::string>>(key, range)) {
    values.push_back(WordsOf<E>::all[std::find(names.begin(), names.end(), word) - names.begin()].second);
  }
  return values;
}

/// A value as JSON, an enumeration's by its word.
template <class T>
nlohmann::json as_json(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return word_of(value);
  } else {
    return value;
  }
}
template <class E>
  requires std::is_enum_v<E>
nlohmann::json as_json(const std::vector<E>& values) {
  auto list = nlohmann::json::array();
  for (const auto value : values) list.push_back(word_of(value));
  return list;
}

/// A key of a configuration as --help shows it.
struct KeyInfo {
  std::string path;      ///< train.steps
  std::string standard;  ///< default, as JSON
  std::string meaning;
  std::string kind{};  ///< of what it names, as `entk list` calls it
};

/// Fills a configuration from JSON; keys that are not there keep their values.
class SchemaReader {
 public:
  /// Names are the catalogue's.
  explicit SchemaReader(JsonReader reader, const Catalogue& catalogue = built_in_catalogue())
      : reader_(std::move(reader)), catalogue_(catalogue) {}

  template <class T>
  void value(const char* key, T& field, const Range& range, const char*) {
    if constexpr (std::is_enum_v<T>) {
      if (reader_.has(key)) field = from_word<T>(reader_, key);
    } else if constexpr (requires { WordsOf<typename T::value_type>::all; }) {
      if (reader_.has(key)) field = from_words<typename T::value_type>(reader_, key, range);
    } else {
      field = reader_.get_or<T>(key, field, range);
    }
  }
  /// A thing with a name. `unnamed`: what an object without a name is.
  template <class M, class... S>
  void named(const char* key, Named<M, S...>& field, const char*, const char* unnamed = nullptr) {
    if (!reader_.has(key)) return;
    auto value = reader_.any(key);
    if (unnamed && value.is_object() && !value.contains("name")) value["name"] = unnamed;
    field = {catalogue_.shelf<Entry<M, S...>>().entries(), std::move(value), reader_.file(), reader_.path(key),
             catalogue_.is_tolerant()};
  }
  void raw(const char* key, nlohmann::json& field, const char*) {
    if (reader_.has(key)) field = reader_.any(key);
  }
  void raw_where_given(const char* key, nlohmann::json& field, const char* meaning) { raw(key, field, meaning); }
  /// A number, or the word that stands for none.
  void number_or(const char* word, const char* key, std::optional<double>& field, const Range& range, const char*) {
    if (!reader_.has(key)) return;
    if (reader_.any(key) == word) {
      field.reset();
    } else {
      field = reader_.get<double>(key, range);
    }
  }
  template <class T>
  void value_where_given(const char* key, T& field, const T&, const Range& range, const char* meaning) {
    value(key, field, range, meaning);
  }
  template <class T>
  void object(const char* key, T& part) {
    if (!reader_.has(key)) return;
    SchemaReader inner(reader_.object(key), catalogue_);
    describe(inner, part);
  }
  /// A list of objects.
  template <class T>
  void list(const char* key, std::vector<T>& items, const char*) {
    if (!reader_.has(key)) return;
    items.clear();
    for (const auto& item : reader_.objects(key)) {
      SchemaReader inner(item, catalogue_);
      describe(inner, items.emplace_back());
    }
  }
  /// All keys that are not described before, for another reader; `keys` lists what they may be, or is null.
  void rest(nlohmann::json& field, std::vector<KeyInfo> (*)()) { field = reader_.rest(); }

 private:
  JsonReader reader_;
  Catalogue catalogue_;
};

/// The whole configuration as JSON.
class SchemaWriter {
 public:
  template <class T>
  void value(const char* key, T& field, const Range&, const char*) {
    json_[key] = as_json(field);
  }
  template <class M, class... S>
  void named(const char* key, Named<M, S...>& field, const char*, const char* = nullptr) {
    if (!field.json().is_null()) json_[key] = field.json();
  }
  void raw(const char* key, nlohmann::json& field, const char*) { json_[key] = field; }
  /// A key that is no part of a configuration where it is empty.
  void raw_where_given(const char* key, nlohmann::json& field, const char*) {
    if (!field.empty()) json_[key] = field;
  }
  void number_or(const char* word, const char* key, std::optional<double>& field, const Range&, const char*) {
    json_[key] = field ? nlohmann::json(*field) : nlohmann::json(word);
  }
  /// The same where it has its default.
  template <class T>
  void value_where_given(const char* key, T& field, const T& standard, const Range&, const char*) {
    if (field != standard) json_[key] = as_json(field);
  }
  template <class T>
  void object(const char* key, T& part) {
    SchemaWriter inner;
    describe(inner, part);
    json_[key] = std::move(inner.json_);
  }
  template <class T>
  void list(const char* key, std::vector<T>& items, const char*) {
    auto& list = json_[key] = nlohmann::json::array();
    for (auto& item : items) {
      SchemaWriter inner;
      describe(inner, item);
      list.push_back(std::move(inner.json_));
    }
  }
  void rest(nlohmann::json& field, std::vector<KeyInfo> (*)()) { json_.update(field); }
  const nlohmann::json& json() const { return json_; }

 private:
  nlohmann::json json_ = nlohmann::json::object();
};

/// The keys with their defaults and meanings.
class SchemaLister {
 public:
  template <class T>
  void value(const char* key, T& field, const Range&, const char* meaning) {
    keys_.push_back({prefix_ + key, as_json(field).dump(), meaning});
  }
  template <class M, class... S>
  void named(const char* key, Named<M, S...>& field, const char* meaning, const char* = nullptr) {
    const auto& json = field.json();
    keys_.push_back({prefix_ + key, json.is_null() ? nlohmann::json(field.name()).dump() : json.dump(), meaning,
                     Kind<Entry<M, S...>>::many});
  }
  void raw(const char* key, nlohmann::json& field, const char* meaning) {
    keys_.push_back({prefix_ + key, field.dump(), meaning});
  }
  void raw_where_given(const char* key, nlohmann::json& field, const char* meaning) { raw(key, field, meaning); }
  void number_or(const char* word, const char* key, std::optional<double>& field, const Range&, const char* meaning) {
    keys_.push_back({prefix_ + key, field ? nlohmann::json(*field).dump() : word, meaning});
  }
  template <class T>
  void value_where_given(const char* key, T& field, const T&, const Range& range, const char* meaning) {
    value(key, field, range, meaning);
  }
  template <class T>
  void object(const char* key, T& part) {
    const std::string before = prefix_;
    prefix_ += std::string(key) + ".";
    describe(*this, part);
    prefix_ = before;
  }
  template <class T>
  void list(const char* key, std::vector<T>&, const char* meaning) {
    keys_.push_back({prefix_ + key, "[]", meaning});
  }
  void rest(nlohmann::json&, std::vector<KeyInfo> (*keys)()) {
    if (!keys) return;
    for (auto& key : keys()) keys_.push_back(std::move(key));
  }
  const std::vector<KeyInfo>& keys() const { return keys_; }

 private:
  std::string prefix_;
  std::vector<KeyInfo> keys_;
};

/// Fills a described configuration, its defaults those of `config`.
/// @throws InputError naming source, key, value and what was expected, for a key that is not described too.
template <class Config>
Config read_described(const nlohmann::json& json, const std::string& source,
                      const Catalogue& catalogue = built_in_catalogue(), Config config = {}) {
  const JsonReader reader(json, source);
  SchemaReader schema(reader, catalogue);
  describe(schema, config);
  reader.finish();
  return config;
}
/// A described configuration with every key.
template <class Config>
nlohmann::json write_described(Config config) {
  SchemaWriter writer;
  describe(writer, config);
  return writer.json();
}
/// The keys of a described configuration, with the values of `standard` as defaults.
template <class Config>
std::vector<KeyInfo> list_described(Config standard) {
  SchemaLister lister;
  describe(lister, standard);
  return lister.keys();
}

}  // namespace entk
