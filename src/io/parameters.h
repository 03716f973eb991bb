// Things with a name and parameters, as a configuration writes them: {"name": "sigmoid", "shift": 1}.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "entk/io/json_reader.h"

namespace entk {

/// A parameter of a named thing. Its default's type is its own: true, 3, 0.5, "word" or a list of numbers.
struct Parameter {
  std::string name;                   ///< as a configuration has it
  nlohmann::json standard = nullptr;  ///< default; null: none, and of any type: the maker asks for what it needs
  Range range = {};                   ///< of the value, or of each entry of a list
  std::string meaning = {};           ///< one line
};

/// The values of declared parameters. Those with a default are checked when they are read, before any work.
class Parameters {
 public:
  /// @throws InputError naming key, what was expected and what is there. Keys that are not declared are left
  /// for reader.finish() to refuse.
  Parameters(JsonReader reader, std::vector<Parameter> declared);

  /// T as JsonReader::get has it. @throws InputError for a parameter that is not declared, or one without
  /// default that is not given or is no T.
  template <class T>
  T get(const std::string& name) const {
    const Parameter& p = declared(name);
    return p.standard.is_null() ? reader_.get<T>(name, p.range) : reader_.get_or<T>(name, p.standard.get<T>(), p.range);
  }
  /// The same for a number.
  double operator[](const std::string& name) const { return get<double>(name); }
  /// Whether the configuration gives it.
  bool has(const std::string& name) const { return reader_.has(declared(name).name); }
  /// For values of other kinds: objects, lists of lists.
  const JsonReader& reader() const { return reader_; }

 private:
  const Parameter& declared(const std::string& name) const;

  JsonReader reader_;
  std::vector<Parameter> declared_;
};

/// A named thing: what makes it from its parameters and, for some kinds, from where it will be used.
template <class Made, class... Settings>
struct Entry {
  std::string name;                                                 ///< as a configuration has it
  std::string meaning;                                              ///< one line
  std::vector<Parameter> parameters;                                ///< declared; others are refused
  std::function<Made(const Parameters&, const Settings&...)> make;  ///< from their values
};

}  // namespace entk
