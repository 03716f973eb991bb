// Things with a name and parameters, as a configuration writes them: {"name": "sigmoid", "shift": 1}.
#pragma once

#include <functional>
#include <memory>
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
  /// The same with a reader of its own: readers remember what was asked, and are not shared between threads.
  Parameters copy() const;
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

/// A named thing in a configuration, read once: NAME or {"name": NAME, parameters}. One whose maker needs no setting
/// is made there and then.
template <class Made, class... Settings>
class Named {
 public:
  using Thing = Entry<Made, Settings...>;  ///< what makes one

  /// `file` and `path` are for messages. Where `tolerant`, a name that is not among the entries is accepted, and
  /// nothing can be made of it. @throws InputError for an unknown name, with the nearest one, unknown parameters, and
  /// values that are refused.
  Named(const std::vector<Thing>& entries, nlohmann::json written, const std::string& file = "defaults",
        const std::string& path = "", bool tolerant = false)
      : written_(std::move(written)), file_(file), path_(path) {
    std::vector<std::string> names;
    for (const auto& e : entries) names.push_back(e.name);
    const Range range = tolerant ? Range{} : Range{.one_of = names};
    if (written_.is_string()) {
      const auto point = path.rfind('.');
      const auto key = point == std::string::npos ? path : path.substr(point + 1);
      const auto parent = point == std::string::npos ? "" : path.substr(0, point);
      name_ = JsonReader({{key, written_}}, file, parent).template get<std::string>(key, range);
    } else {
      name_ = JsonReader(written_, file, path).template get<std::string>("name", range);
    }
    for (const auto& e : entries) {
      if (e.name == name_) thing_ = std::make_shared<const Thing>(e);
    }
    if (!thing_) return;
    const auto reader = read();
    const Parameters parameters(reader, thing_->parameters);
    if constexpr (sizeof...(Settings) == 0) {
      made_ = std::make_shared<const Made>(thing_->make(parameters));
    } else {
      for (const auto& p : thing_->parameters) {  // what has no default is left to the maker
        if (reader.has(p.name)) reader.any(p.name);
      }
    }
    reader.finish();
  }

  const std::string& name() const { return name_; }  ///< of the entry
  /// As the configuration has it; null where it was left to its default.
  const nlohmann::json& json() const { return written_; }
  /// False where a tolerant reading met a name that is unknown here.
  explicit operator bool() const { return thing_ != nullptr; }

  /// The thing itself, where its maker needs no setting.
  const Made& operator*() const
    requires(sizeof...(Settings) == 0)
  {
    return *made_;
  }
  /// The same.
  const Made* operator->() const
    requires(sizeof...(Settings) == 0)
  {
    return made_.get();
  }
  /// One for a setting. @throws InputError as its maker does.
  Made make(const Settings&... settings) const {
    return thing_->make(Parameters(read(), thing_->parameters), settings...);
  }
  /// Makes one for the sake of what the maker refuses, keys within its parameters too.
  void check(const Settings&... settings) const {
    if (!thing_) return;
    const auto reader = read();
    thing_->make(Parameters(reader, thing_->parameters), settings...);
    reader.finish();
  }

  /// The parameters that were left to their defaults, written out.
  void write_defaults() {
    if (!thing_) return;
    if (written_.is_string()) written_ = {{"name", name_}};
    for (const auto& p : thing_->parameters) {
      if (!written_.contains(p.name) && !p.standard.is_null()) written_[p.name] = p.standard;
    }
  }
  /// The same thing as one that was left to its default: no key of a configuration.
  Named unwritten() const {
    auto copy = *this;
    copy.written_ = nullptr;
    return copy;
  }

 private:
  /// A reader of its own each time: readers remember what was asked, and runs side by side share a configuration.
  JsonReader read() const {
    auto object = written_.is_object() ? written_ : nlohmann::json{{"name", name_}};
    JsonReader reader(std::move(object), file_, path_);
    reader.any("name");
    return reader;
  }

  nlohmann::json written_;
  std::string name_, file_, path_;
  std::shared_ptr<const Thing> thing_;
  std::shared_ptr<const Made> made_{};
};

}  // namespace entk
