// A configuration in layers: a preset, then a file, then --set, each over the one before.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

namespace entk {

/// A key and its value as they were typed: "train.steps=10".
struct Override {
  std::string path;
  nlohmann::json value;
};

/// Splits "path=value"; a value that is no JSON is a string. @throws InputError
Override parse_override(const std::string& text);

/// A sweep as typed: "lambda.3=0,0.1,1". @throws InputError
struct SweepAxis {
  std::string path;
  std::vector<nlohmann::json> values;
};
SweepAxis parse_sweep(const std::string& text);

/// Objects are merged key by key, everything else is replaced.
void merge_over(nlohmann::json& base, const nlohmann::json& over);

/// Puts a value at a path ("train.steps"), making objects on the way. A number names an entry of a
/// list, counted from 1 as the paper counts: lambda.3 is R3's weight. A name on the way becomes the object that it
/// stands for: model.kind.depth in "mlp" makes {"name": "mlp", "depth": …}. @throws InputError where the path runs
/// through any other value.
void set_at(nlohmann::json& config, const std::string& path, const nlohmann::json& value);

/// The value at a path, or null. @throws InputError as set_at.
nlohmann::json value_at(const nlohmann::json& config, const std::string& path);

/// Paths at which two configurations differ.
std::vector<std::string> differing_paths(const nlohmann::json& a, const nlohmann::json& b);

/// config.json holds, under "resolved", what the machine chose (device, kernel, instruction set);
/// that is information, not configuration.
nlohmann::json without_resolved(nlohmann::json config);

/// A configuration with data.file, which is named from the folder that the program runs in, as an absolute path: the
/// folder of a run can be used from any other.
nlohmann::json with_absolute_file(nlohmann::json config);

/// Presets that are built in: configs/*.json. name: "figure1", "figure1-quick", …
/// @throws InputError listing those that exist.
nlohmann::json preset(const std::string& name);
std::vector<std::string> preset_names();

}  // namespace entk
