// Numbers of a configuration that the run's floating type cannot hold.
#pragma once

#include <c10/core/ScalarType.h>
#include <nlohmann/json_fwd.hpp>

#include <string>

namespace entk {

/// λ, what a loss, an activation, a regularizer or an update rule is told, the learning rate and the noise: @throws
/// InputError naming source and key of one that is too large or too small for the type. Keys that are not there are
/// passed over.
void check_precision(const nlohmann::json& config, c10::ScalarType type, const std::string& source);

}  // namespace entk
