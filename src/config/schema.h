// One description of a configuration serves three readers: the strict parser, the writer of
// config.json, and the list of keys that --help shows.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "entk/io/json_reader.h"

namespace entk {

/// A key of a configuration as --help shows it.
struct KeyInfo {
  std::string path;      ///< train.steps
  std::string standard;  ///< default, as JSON
  std::string meaning;
};

/// Fills a configuration from JSON; keys that are not there keep their values.
class SchemaReader {
 public:
  explicit SchemaReader(JsonReader reader) : reader_(std::move(reader)) {}

  template <class T>
  void value(const char* key, T& field, const Range& range, const char*) {
    field = reader_.get_or<T>(key, field, range);
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
    SchemaReader inner(reader_.object(key));
    describe(inner, part);
  }

 private:
  JsonReader reader_;
};

/// The whole configuration as JSON.
class SchemaWriter {
 public:
  template <class T>
  void value(const char* key, T& field, const Range&, const char*) {
    json_[key] = field;
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
    if (field != standard) json_[key] = field;
  }
  template <class T>
  void object(const char* key, T& part) {
    SchemaWriter inner;
    describe(inner, part);
    json_[key] = std::move(inner.json_);
  }
  const nlohmann::json& json() const { return json_; }

 private:
  nlohmann::json json_ = nlohmann::json::object();
};

/// The keys with their defaults and meanings.
class SchemaLister {
 public:
  template <class T>
  void value(const char* key, T& field, const Range&, const char* meaning) {
    keys_.push_back({prefix_ + key, nlohmann::json(field).dump(), meaning});
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
  const std::vector<KeyInfo>& keys() const { return keys_; }

 private:
  std::string prefix_;
  std::vector<KeyInfo> keys_;
};

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
