#include "entk/config/precision.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "entk/base/representable.h"

namespace entk {

namespace {

/// All numbers of a value; weights are counted from 1, coefficients from degree 0.
void check_numbers(const std::string& key, const nlohmann::json& value, c10::ScalarType type) {
  if (value.is_number()) check_representable(key, value.get<double>(), type);
  if (value.is_object()) {
    for (const auto& [name, inner] : value.items()) check_numbers(key + "." + name, inner, type);
  }
  const std::size_t first = key.ends_with("lambda") ? 1 : 0;
  for (std::size_t i = 0; value.is_array() && i < value.size(); ++i) {
    check_numbers(fmt::format("{}.{}", key, first + i), value[i], type);
  }
}

}  // namespace

void check_precision(const nlohmann::json& config, c10::ScalarType type, const std::string& source) {
  for (const char* part :
       {"/lambda", "/loss", "/delta", "/regularizers", "/activation", "/model/activation", "/model/start_deviation",
        "/train/learning_rate", "/train/noise_variance", "/train/perturbation/radius", "/train/update"}) {
    const nlohmann::json::json_pointer place(part);
    if (!config.contains(place)) continue;
    std::string key = part + 1;
    std::replace(key.begin(), key.end(), '/', '.');
    check_numbers(fmt::format("{}: {}", source, key), config.at(place), type);
  }
}

}  // namespace entk
