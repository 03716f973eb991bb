#include "entk/regularizers/term.h"

namespace entk {

Term regularizer(std::string name, std::function<at::Tensor(const at::Tensor&)> value) {
  return {std::move(name), TermReads::displacement,
          [value = std::move(value)](const TermInputs& in) { return value(in.w); }};
}

Term vector_regularizer(std::string name, std::function<at::Tensor(const TermInputs&)> value) {
  return {std::move(name), TermReads::vectors, std::move(value)};
}

Term model_regularizer(std::string name, std::function<at::Tensor(TaylorModelImpl&)> value) {
  return {std::move(name), TermReads::model,
          [value = std::move(value)](const TermInputs& in) { return value(*in.model); }};
}

}  // namespace entk
