#include "entk/models/module_start.h"

#include <ATen/ATen.h>
#include <fmt/ostream.h>

#include <typeinfo>

#include "entk/base/check.h"
#include "entk/models/cloned_module.h"

namespace entk {

namespace {

std::shared_ptr<torch::nn::Module> copied(const std::shared_ptr<torch::nn::Module>& module, bool& is_copy) {
  if (!module) throw InputError("module: expected one, got none");
  try {
    auto copy = module->clone();
    // A class derived from a Cloneable one is copied as that.
    is_copy = typeid(*copy) == typeid(*module) && freeze_alike(*copy, *module);
    return is_copy ? copy : module;
  } catch (const c10::Error&) {
    is_copy = false;  // not Cloneable
    return module;
  }
}

}  // namespace

bool freeze_alike(torch::nn::Module& copy, const torch::nn::Module& module) {
  const auto from = module.named_parameters(), to = copy.named_parameters();
  if (from.size() != to.size()) return false;
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (from[i].key() != to[i].key()) return false;
    for (std::size_t j = 0; j < i; ++j) {
      if (from[i].value().is_same(from[j].value()) != to[i].value().is_same(to[j].value())) return false;
    }
    if (!from[i].value().requires_grad()) at::Tensor(to[i].value()).requires_grad_(false);
  }
  return true;
}

ModuleStart::ModuleStart(const std::shared_ptr<torch::nn::Module>& module, const std::vector<at::Tensor>& parameters,
                         bool is_own)
    : module_(module), is_copy_(is_own) {
  const Differentiating recording;  // under InferenceMode: copies that can be differentiated
  if (!is_own) module_ = copied(module, is_copy_);
  const auto named = module_->named_parameters();
  if (parameters.size() != named.size()) {
    throw InputError(
        fmt::format("parameters: expected {}, one for each of the module's, got {}", named.size(), parameters.size()));
  }
  const at::NoGradGuard no_grad;
  std::size_t i = 0;
  for (const auto& item : named) {
    const auto& value = parameters[i++];
    if (!value.defined() || value.sizes() != item.value().sizes()) {
      throw InputError(fmt::format("parameters: {} has shape {}, got {}", item.key(),
                                   fmt::streamed(item.value().sizes()),
                                   value.defined() ? fmt::format("{}", fmt::streamed(value.sizes())) : "none"));
    }
    at::Tensor at_start = item.value();
    if (value.scalar_type() != at_start.scalar_type()) check_floating("parameters: " + item.key(), value);
    const auto wanted = value.detach().to(at_start.device(), at_start.scalar_type());
    // A module that is held stays as it is where it can.
    if (!at_start.is_alias_of(wanted) && !at::equal(at_start, wanted)) at_start.copy_(wanted);
    if (!at_start.requires_grad()) continue;
    if (at_start.is_inference()) {
      throw InputError(
          fmt::format("module: its parameter {} was made under c10::InferenceMode and cannot be differentiated: derive "
                      "the module from torch::nn::Cloneable to have a copy expanded, or make it elsewhere",
                      item.key()));
    }
    bool known = false;  // weights that two layers share are one parameter
    for (const auto& t : parameters_) known = known || t.is_same(at_start);
    if (known) continue;
    names_.push_back(item.key());
    parameters_.push_back(at_start);
  }
  if (parameters_.empty()) throw InputError("module: it has no parameter that requires a gradient");
  remember();
}

void ModuleStart::remember() {
  values_.clear();
  for (const auto& t : parameters_) values_.emplace_back(t.detach(), t._version());
}

void ModuleStart::check_unchanged() const {
  if (is_copy_) return;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const auto& [values, version] = values_[i];
    if (parameters_[i].data_ptr() != values.data_ptr() || parameters_[i]._version() != version) {
      throw InputError(
          fmt::format("module: its parameter {} was changed after the expansion was made; derive the module from "
                      "torch::nn::Cloneable to have a copy expanded",
                      names_[i]));
    }
  }
}

}  // namespace entk
