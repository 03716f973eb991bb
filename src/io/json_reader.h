// Typed, strict reading of a JSON object that remembers which keys were asked for.
//
//   JsonReader config(load_json(path), path);
//   auto steps = config.object("train").get<std::int64_t>("steps", {.at_least = 1});
//   auto loss = config.get_or<std::string>("loss", "square", {.one_of = {"square", "logistic"}});
//   config.finish();   // throws if a key was never read
//
// Nothing is converted: 1.9, 1e3, "1" and true are not integers. An integer is accepted where a
// double is expected. Messages: "file: train.steps: expected an integer of at least 1, got 0".
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace entk {

/// What a value may be; for a list, what each of its entries may be. What is not given does not
/// bound.
struct Range {
  std::optional<double> at_least = {};   ///< value ≥ this
  std::optional<double> above = {};      ///< value > this
  std::optional<double> at_most = {};    ///< value ≤ this
  std::optional<double> below = {};      ///< value < this
  std::vector<std::string> one_of = {};  ///< of strings
  bool nonempty = false;                 ///< of a list: it has a value
  bool distinct = false;                 ///< of a list: it has each value once
};

/// The candidate nearest to a word in edit distance, if one is near enough to be a misspelling.
std::optional<std::string> nearest_name(std::string_view word, const std::vector<std::string>& candidates);

/// One JSON object. Copies share what was read.
class JsonReader {
 public:
  /// `file` names it in messages, `path` is the key that leads to it. @throws InputError if it is
  /// not an object.
  explicit JsonReader(nlohmann::json value, std::string file, std::string path = "");

  /// Whether the key is there. Does not count as reading it.
  bool has(const std::string& key) const;

  /// The value of a key: T is bool, std::int64_t, std::uint64_t, double, std::string, or a vector
  /// of std::int64_t, double or std::string. Numbers are finite.
  /// @throws InputError if the key is missing, or the value of another type or out of range.
  template <class T>
  T get(const std::string& key, const Range& range = {}) const;
  /// The same; `fallback`, as it is, if the key is missing.
  template <class T>
  T get_or(const std::string& key, T fallback, const Range& range = {}) const;

  /// The object under a key. Its unread keys are reported by finish() of this one.
  JsonReader object(const std::string& key) const;
  /// The objects in the list under a key.
  std::vector<JsonReader> objects(const std::string& key) const;
  /// The value under a key, of any kind; it counts as read entirely.
  const nlohmann::json& any(const std::string& key) const;

  /// The keys that were not asked for so far, with their values; they count as read.
  nlohmann::json rest() const;

  /// @throws InputError naming a key, here or in an object read from here, that was never read,
  /// with the nearest of those that were asked for, or all of them.
  void finish() const;

  /// A reader of the same object of which nothing was read.
  JsonReader copy() const;
  /// The file that messages name.
  const std::string& file() const;
  /// The path there of a key.
  std::string path(const std::string& key) const;

  /// Throws the error for a value found wrong after it was read.
  [[noreturn]] void fail(const std::string& key, const std::string& expected) const;

 private:
  struct State;
  explicit JsonReader(std::shared_ptr<State> state) : state_(std::move(state)) {}
  JsonReader child(const nlohmann::json& value, const std::string& name) const;
  const nlohmann::json& find(const std::string& key, const std::string& expected) const;

  std::shared_ptr<State> state_;
};

}  // namespace entk
