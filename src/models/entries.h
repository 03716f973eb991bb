// The activations that have a name in a configuration.
#pragma once

#include "entk/io/parameters.h"
#include "entk/models/activation.h"

namespace entk {

using ActivationEntry = Entry<Activation>;
const std::vector<ActivationEntry>& built_in_activations();

}  // namespace entk
