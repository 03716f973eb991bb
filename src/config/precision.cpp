#include "entk/config/precision.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "entk/base/representable.h"

namespace entk {

void check_precision(const nlohmann::json& config, c10::ScalarType type, const std::string& source) {
  const auto numbers = [&](const std::string& key, const char* pointer, int first = 0) {
    const nlohmann::json::json_pointer place(pointer);
    if (!config.contains(place)) return;
    const auto& value = config.at(place);
    if (value.is_number()) check_representable(source + ": " + key, value.get<double>(), type);
    for (std::size_t i = 0; value.is_array() && i < value.size(); ++i) {
      if (value[i].is_number())
        check_representable(fmt::format("{}: {}.{}", source, key, first + static_cast<int>(i)), value[i].get<double>(),
                            type);
    }
  };
  numbers("lambda", "/lambda", 1);
  numbers("loss.delta", "/loss/delta");
  numbers("delta", "/delta");
  numbers("activation.shift", "/activation/shift");
  numbers("activation.coefficients", "/activation/coefficients");
  numbers("model.activation.shift", "/model/activation/shift");
  numbers("model.activation.coefficients", "/model/activation/coefficients");
  numbers("train.learning_rate", "/train/learning_rate");
  numbers("train.noise_variance", "/train/noise_variance");
  numbers("train.perturbation.radius", "/train/perturbation/radius");
  numbers("model.start_deviation", "/model/start_deviation");
}

}  // namespace entk
