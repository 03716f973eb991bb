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

  void put(const json& value, int level, const std::string& path) {
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
        throw NotFiniteError((path.empty() ? "value" : path) + " is " + shortest(number) +
                             ", which JSON cannot hold");
      }
      const std::string digits = shortest(number);
      text_ += digits + (digits.find_first_of(".e") == std::string::npos ? ".0" : "");
    } else {
      text_ += scalar_text(value);
    }
  }

  void put_items(const json& value, char open, char close, bool broken, int level, const std::string& path) {
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

  void start_line(int level) {
    text_ += '\n';
    text_.append(2 * static_cast<std::size_t>(level), ' ');
  }

  std::string text_;
};

}  // namespace

json parse_json(std::string_view text, const std::string& name) {
  if (text.size() > most_json_bytes) {
    throw InputError(name + ": it has " + std::to_string(text.size()) + " bytes, expected at most " +
                     std::to_string(most_json_bytes));
  }
  int line = 1;
  const auto refuse = [&](int where, const std::string& why) {
    throw InputError(name + ":" + std::to_string(where) + ": " + why);
  };
  std::vector<std::set<std::string>> keys;  // of each object that is open
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        if (depth >= most_json_levels) {
          refuse(line, "expected at most " + std::to_string(most_json_levels) + " levels of objects and arrays");
        }
        if (event == json::parse_event_t::object_start) keys.emplace_back();
        break;
      case json::parse_event_t::object_end: keys.pop_back(); break;
      case json::parse_event_t::key: {
        const auto& key = parsed.get_ref<const std::string&>();
        if (!keys.back().insert(key).second) refuse(line, "the key " + in_quotes(key) + " occurs twice");
        break;
      }
      default: break;
    }
    return true;
  };
  try {
    return json::parse(CountingIterator(text.data(), &line),
                       CountingIterator(text.data() + text.size(), &line), check);
  } catch (const json::parse_error& error) {
    const auto taken = std::min<std::size_t>(error.byte > 0 ? error.byte - 1 : 0, text.size());
    const auto before = std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(taken), '\n');
    refuse(static_cast<int>(before) + 1, without_prefix(error.what()));
  } catch (const json::exception& error) {
    refuse(line, without_prefix(error.what()));
  }
  return {};
}

json load_json(const std::filesystem::path& path) {
  return parse_json(read_file(path, most_json_bytes), path.string());
}

std::string dump_json(const json& value) { return Dumper().dump(value); }

}  // namespace entk
