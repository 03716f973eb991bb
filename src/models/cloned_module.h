// What a module's clone() leaves to be done.
#pragma once

#include <torch/nn/module.h>

namespace entk {

/// Internal to the library: gives a clone(), whose parameters are made anew, which of them require a gradient. Whether
/// it now has the module's parameters: not where the module's layers share them otherwise.
bool freeze_alike(torch::nn::Module& copy, const torch::nn::Module& module);

}  // namespace entk
