#include "entk/io/strict_json.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <vector>

#include "entk/base/error.h"
#include "entk/io/atomic_file.h"
#include "entk/io/text.h"

namespace entk {

namespace {

using nlohmann::json;

/// Counts the lines that the parser has taken; its events themselves carry no position.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* place, int* line) : place_(place), line_(line) {}
  reference operator*() const { return *place_; }
  CountingIterator& operator++() {
    if (*place_++ == '\n') ++*line_;
    return *this;
  }
  CountingIterator operator++(int) {
    const CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return place_ == other.place_; }
  bool operator!=(const CountingIterator& other) const { return place_ != other.place_; }

 private:
  const char* place_;
  int* line_;
};

/// nlohmann's message from "syntax error" or "number overflow" on.
std::string without_prefix(const std::string& message) {
  for (const char* start : {"syntax error", "number overflow"}) {
    if (const auto place = message.find(start); place != std::string::npos) return message.substr(place);
  }
  return message;
}

/// Builds the value from the parser's events, and refuses what the parser lets pass.
class Builder : public json::json_sax_t {
 public:
  Builder(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  json build() {
    // The parser takes a NUL for the end.
    if (const auto nul = text_.find('\0'); nul != std::string_view::npos) {
      refuse(1 + static_cast<int>(std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(nul), '\n')),
             "syntax error: a NUL byte");
    }
    json::sax_parse(CountingIterator(text_.data(), &line_), CountingIterator(text_.data() + text_.size(), &line_),
                    this);
    return std::move(root_);
  }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(std::int64_t value) override { return add(value); }
  bool number_unsigned(std::uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string& digits) override {
    const std::string mantissa = digits.substr(0, digits.find_first_of("eE"));
    if (value == 0 && mantissa.find_first_of("123456789") != std::string::npos) {
      refuse(line_, "the number " + digits + " is too small for a double");
    }
    return add(value);
  }
  bool string(std::string& value) override {
    json text(json::value_t::string);  // the direct way makes GCC 12 warn about nlohmann's code
    text.get_ref<std::string&>() = std::move(value);
    return add(std::move(text));
  }
  bool binary(json::binary_t&) override { return false; }  // not in JSON

  bool start_object(std::size_t) override {
    keys_.emplace_back();
    return open(json::object());
  }
  bool key(std::string& key) override {
    if (!keys_.back().insert(key).second) refuse(line_, "the key " + in_quotes(key) + " occurs twice");
    key_ = std::move(key);
    return true;
  }
  bool end_object() override {
    keys_.pop_back();
    return close();
  }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_array() override { return close(); }

  bool parse_error(std::size_t taken, const std::string&, const json::exception& error) override {
    const auto before = text_.substr(0, taken > 0 ? taken - 1 : 0);
    refuse(1 + static_cast<int>(std::count(before.begin(), before.end(), '\n')), without_prefix(error.what()));
    return false;
  }

 private:
  void refuse(int line, const std::string& why) const {
    throw InputError(name_ + ":" + std::to_string(line) + ": " + why);
  }

  json* place(json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    if (open_.back()->is_array()) return &open_.back()->emplace_back(std::move(value));
    return &((*open_.back())[key_] = std::move(value));
  }
  bool add(json value) {
    place(std::move(value));
    return true;
  }
  bool open(json value) {
    if (open_.size() == most_json_levels) {
      refuse(line_, "expected at most " + std::to_string(most_json_levels) + " levels of objects and arrays");
    }
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view text_;
  const std::string& name_;
  int line_ = 1;
  json root_;
  std::vector<json*> open_;                  // the objects and arrays we are in
  std::vector<std::set<std::string>> keys_;  // of each object we are in
  std::string key_;                          // of the value that comes next
};

class Dumper {
 public:
  std::string dump(const json& value) && {
    put(value, 0, "");
    return std::move(text_) + "\n";
  }

 private:
  static std::string scalar_text(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
  }

  void put(const json& value, std::size_t level, const std::string& path) {
    if (level > most_json_levels) {
      throw InputError("a JSON value has more than " + std::to_string(most_json_levels) + " levels");
    }
    if (value.is_object()) {
      put_items(value, '{', '}', !value.empty(), level, path);
    } else if (value.is_array()) {
      const bool broken = std::any_of(value.begin(), value.end(), [](const json& v) { return v.is_structured(); });
      put_items(value, '[', ']', broken, level, path);
    } else if (value.is_number_float()) {
      const double number = value.get<double>();
      if (!std::isfinite(number)) {
        throw NotFiniteError((path.empty() ? "value" : path) + " is " + shortest(number) + ", which JSON cannot hold");
      }
      const std::string digits = shortest(number);
      text_ += digits + (digits.find_first_of(".e") == std::string::npos ? ".0" : "");
    } else {
      text_ += scalar_text(value);
    }
  }

  void put_items(const json& value, char open, char close, bool broken, std::size_t level, const std::string& path) {
    text_ += open;
    std::size_t index = 0;
    for (auto item = value.begin(); item != value.end(); ++item, ++index) {
      if (index > 0) text_ += broken ? "," : ", ";
      if (broken) start_line(level + 1);
      std::string name = std::to_string(index);
      if (value.is_object()) {
        text_ += scalar_text(item.key()) + ": ";
        name = item.key();
      }
      put(*item, level + 1, path.empty() ? name : path + "." + name);
    }
    if (broken) start_line(level);
    text_ += close;
  }

  void start_line(std::size_t level) {
    text_ += '\n';
    text_.append(2 * level, ' ');
  }

  std::string text_;
};

}  // namespace

json parse_json(std::string_view text, const std::string& name) {
  if (text.size() > most_json_bytes) {
    throw InputError(name + ": it has " + std::to_string(text.size()) + " bytes, expected at most " +
                     std::to_string(most_json_bytes));
  }
  return Builder(text, name).build();
}

json load_json(const std::filesystem::path& path) {
  return parse_json(read_file(path, most_json_bytes), path.string());
}

std::string dump_json(const json& value) { return Dumper().dump(value); }

}  // namespace entk
