#include "entk/regularizers/entries.h"

#include <ATen/ATen.h>

#include "entk/base/group.h"

namespace entk {

namespace {

/// W's rows; of a module, whose W is a vector, its entries.
at::Tensor by_row(const at::Tensor& w) { return w.reshape({w.size(0), -1}); }

}  // namespace

const std::vector<RegularizerEntry>& built_in_regularizers() {
  static const std::vector<RegularizerEntry> all = {
      {"weight_decay",
       "||W||_F^2",
       {},
       [](const Parameters&, const Setting&) {
         auto term = neuron_regularizer("weight_decay", [](const at::Tensor& w) { return by_row(w.square()).sum(1); });
         term.recordable = true;
         return term;
       }},
      {"l1", "mean of |W_rk|", {}, [](const Parameters&, const Setting&) {
         auto term = neuron_regularizer("l1", [](const at::Tensor& w) {
           return by_row(w.abs()).sum(1) / static_cast<double>(sum_of_all(w.numel()));
         });
         term.recordable = true;
         return term;
       }}};
  return all;
}

}  // namespace entk
