// A module at the parameters θ0 around which it is expanded.
#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <string>
#include <vector>

#include "entk/base/differentiation.h"

namespace entk {

/// The module is copied; one that cannot be copied (not a torch::nn::Cloneable) is set to θ0 and held, and refused
/// later if it was changed meanwhile.
class ModuleStart {
 public:
  /// `parameters`: θ0, in the order of module->parameters() and with the same shapes.
  /// `is_own`: the module is a copy already. @throws InputError where they are not, and for a module without parameters
  /// that require a gradient.
  ModuleStart(const std::shared_ptr<torch::nn::Module>& module, const std::vector<at::Tensor>& parameters,
              bool is_own = false);

  /// At θ0.
  const std::shared_ptr<torch::nn::Module>& module() const { return module_; }
  /// Whether the module is a copy that nobody else can change.
  bool is_copy() const { return is_copy_; }
  /// θ0: those that require a gradient, one that two layers share once; and their names.
  const std::vector<at::Tensor>& parameters() const { return parameters_; }
  const std::vector<std::string>& names() const { return names_; }  ///< of parameters()

  /// @throws InputError where a module that is held was changed.
  void check_unchanged() const;
  /// As Module::to.
  template <class... Where>
  void to(Where... where) {
    const Differentiating recording;
    check_unchanged();
    module_->to(where...);
    remember();
  }

 private:
  void remember();

  std::shared_ptr<torch::nn::Module> module_;
  bool is_copy_ = false;
  std::vector<std::string> names_;
  std::vector<at::Tensor> parameters_;
  std::vector<std::pair<at::Tensor, std::uint32_t>> values_;  // that the parameters had
};

}  // namespace entk
