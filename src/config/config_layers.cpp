#include "entk/config/config_layers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "entk/base/error.h"
#include "entk/config/presets.h"
#include "entk/io/json_reader.h"
#include "entk/io/strict_json.h"

namespace entk {

namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

nlohmann::json parse_value(const std::string& text, const std::string& name) {
  const auto first = text.find_first_not_of(' ');
  const bool json_like =
      first != std::string::npos && std::string("-0123456789{[\"").find(text[first]) != std::string::npos;
  if (text == "true" || text == "false" || text == "null" || json_like) return parse_json(text, name);
  return text;
}

std::pair<std::string, std::string> split_assignment(const std::string& text, const std::string& option) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw InputError(fmt::format("{}: expected key=value, got '{}'", option, text));
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

/// The entry of a list that a path component names, counted from 1; its size where it names none.
std::size_t list_index(const std::string& part, std::size_t size) {
  std::size_t index = 0;
  const bool number = !part.empty() && part.size() < 9 && part.find_first_not_of("0123456789") == std::string::npos;
  if (number) index = std::stoul(part);
  return index < 1 || index > size ? size : index - 1;
}

void collect_differences(const nlohmann::json& a, const nlohmann::json& b, const std::string& path,
                         std::vector<std::string>& paths) {
  if (a.is_object() && b.is_object()) {
    auto keys = a;
    keys.update(b);
    for (const auto& [key, unused] : keys.items()) {
      const auto inner = path.empty() ? key : path + "." + key;
      if (!a.contains(key) || !b.contains(key)) {
        paths.push_back(inner);
      } else {
        collect_differences(a.at(key), b.at(key), inner, paths);
      }
    }
  } else if (a != b) {
    paths.push_back(path);
  }
}

}  // namespace

Override parse_override(const std::string& text) {
  const auto [path, value] = split_assignment(text, "--set");
  return {path, parse_value(value, "--set " + path)};
}

SweepAxis parse_sweep(const std::string& text) {
  const auto [path, values] = split_assignment(text, "--sweep");
  SweepAxis axis{path, {}};
  for (const auto& value : split(values, ',')) {
    if (value.empty()) throw InputError(fmt::format("--sweep {}: an empty value in '{}'", path, values));
    axis.values.push_back(parse_value(value, "--sweep " + path));
  }
  return axis;
}

void merge_over(nlohmann::json& base, const nlohmann::json& over) {
  if (!base.is_object() || !over.is_object()) {
    base = over;
    return;
  }
  for (const auto& [key, value] : over.items()) {
    // What defines an activation, a target or a loss is replaced whole: the parameters of one mean
    // nothing to another.
    const bool whole = value.is_object() && value.contains("name") && key != "schedule";
    if (base.contains(key) && !whole) {
      merge_over(base[key], value);
    } else {
      base[key] = value;
    }
  }
}

void set_at(nlohmann::json& config, const std::string& path, const nlohmann::json& value) {
  nlohmann::json* at = &config;
  for (const auto& part : split(path, '.')) {
    if (at->is_null()) *at = nlohmann::json::object();
    if (at->is_array()) {
      const auto size = at->size(), index = list_index(part, size);
      if (index == size) {
        throw InputError(size == 0
                             ? fmt::format("{}: '{}' is inside a list without entries", path, part)
                             : fmt::format("{}: expected a number from 1 to {} in place of '{}'", path, size, part));
      }
      at = &(*at)[index];
    } else if (at->is_object()) {
      at = &(*at)[part];
    } else if (at->is_string()) {
      *at = {{"name", *at}};  // a name alone stands for itself with its parameters' defaults
      at = &(*at)[part];
    } else {
      throw InputError(fmt::format("{}: '{}' is inside a value that is no object and no list", path, part));
    }
  }
  *at = value;
}

nlohmann::json value_at(const nlohmann::json& config, const std::string& path) {
  const nlohmann::json* at = &config;
  for (const auto& part : split(path, '.')) {
    if (at->is_array()) {
      const auto index = list_index(part, at->size());
      if (index == at->size()) return nullptr;
      at = &(*at)[index];
    } else if (at->is_object() && at->contains(part)) {
      at = &at->at(part);
    } else {
      return nullptr;
    }
  }
  return *at;
}

std::vector<std::string> differing_paths(const nlohmann::json& a, const nlohmann::json& b) {
  std::vector<std::string> paths;
  collect_differences(a, b, "", paths);
  return paths;
}

nlohmann::json without_resolved(nlohmann::json config) {
  if (config.is_object()) config.erase("resolved");
  return config;
}

nlohmann::json with_absolute_file(nlohmann::json config) {
  const auto file = nlohmann::json::json_pointer("/data/file");
  if (config.is_object() && config.contains(file) && config[file].is_string() && config[file] != "") {
    config[file] = std::filesystem::absolute(config[file].get<std::string>()).lexically_normal().string();
  }
  return config;
}

nlohmann::json preset(const std::string& name) {
  for (const auto& p : built_in_presets()) {
    if (name == p.name) return parse_json(p.text, "preset " + name);
  }
  const auto near = nearest_name(name, preset_names());
  throw InputError(fmt::format("preset: there is no '{}'{}; there are {}", name,
                               near ? fmt::format(" (did you mean '{}'?)", *near) : "",
                               fmt::join(preset_names(), ", ")));
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const auto& p : built_in_presets()) names.emplace_back(p.name);
  return names;
}

}  // namespace entk
