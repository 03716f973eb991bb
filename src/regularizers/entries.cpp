#include "entk/regularizers/entries.h"

#include <ATen/ATen.h>

namespace entk {

const std::vector<RegularizerEntry>& built_in_regularizers() {
  static const std::vector<RegularizerEntry> all = {
      {"weight_decay",
       "||W||_F^2",
       {},
       [](const Parameters&, const Setting&) {
         auto term = regularizer("weight_decay", [](const at::Tensor& w) { return w.square().sum(); });
         term.recordable = true;
         return term;
       }},
      {"l1", "mean of |W_rk|", {}, [](const Parameters&, const Setting&) {
         auto term = regularizer("l1", [](const at::Tensor& w) { return w.abs().mean(); });
         term.recordable = true;
         return term;
       }}};
  return all;
}

}  // namespace entk
