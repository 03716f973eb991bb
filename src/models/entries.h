// The activations and models that have a name in a configuration.
#pragma once

#include <torch/nn/modules/container/any.h>

#include "entk/io/parameters.h"
#include "entk/models/network.h"

namespace entk {

/// An activation's name and maker.
using ActivationEntry = Entry<Activation>;
/// Those that entk has.
const std::vector<ActivationEntry>& built_in_activations();

/// What a model is made for: `width`, `activation` and `initialisation` are the keys of these names, for a model
/// that has such things.
using ModelSetting = NetworkOptions;
/// A module at its start θ0, as torch::nn::AnyModule(Module(…)); forward takes n×d and gives n. What is trained is the
/// displacement θ − θ0 in its expansion. An entk::Network is trained as such; of any other module the symmetric
/// start is a pair of copies with opposite signs.
using ModelEntry = Entry<torch::nn::AnyModule, ModelSetting>;
/// Those that entk has.
const std::vector<ModelEntry>& built_in_models();

}  // namespace entk
