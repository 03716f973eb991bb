#include "entk/models/model_file.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "entk/base/error.h"
#include "entk/io/pt_file.h"

namespace entk {

void save_model(const std::filesystem::path& file, const TaylorModel& model) {
  if (model.is_empty()) throw InputError("model: expected one, got none");
  const auto& n = model->two_layer("save_model");
  const auto& o = model->options();
  const auto& name = n.activation().name;
  auto bytes = at::empty({static_cast<std::int64_t>(name.size())}, at::kByte);
  std::copy(name.begin(), name.end(), bytes.mutable_data_ptr<std::uint8_t>());
  const auto options = at::tensor(std::vector<std::int64_t>{o.order, o.linear_term, o.initial_output, o.whole_network});
  write_pt(
      file,
      {{"W0", n.w0.detach()}, {"a", n.a.detach()}, {"W", n.w.detach()}, {"activation", bytes}, {"options", options}});
}

TaylorModel load_model(const std::filesystem::path& file, const Activation& activation) {
  const auto entries = read_pt(file);
  const auto fail = [&](const std::string& what) { throw InputError(fmt::format("{}: {}", file.string(), what)); };
  for (const char* key : {"W0", "a", "W", "activation", "options"}) {
    if (!entries.count(key)) fail(fmt::format("expected a file of save_model; it has no entry '{}'", key));
  }
  const auto& bytes = entries.at("activation");
  const auto& options = entries.at("options");
  if (bytes.scalar_type() != at::kByte || options.scalar_type() != at::kLong || options.numel() != 4) {
    fail("expected a file of save_model; its entries 'activation' and 'options' are of another kind");
  }
  const std::string name(reinterpret_cast<const char*>(bytes.const_data_ptr<std::uint8_t>()), bytes.numel());
  if (name != activation.name)
    fail(fmt::format("activation: expected {}, with which it was saved, got {}", name, activation.name));
  const auto& w = entries.at("W");
  Network network(entries.at("W0"), entries.at("a"), activation);
  if (w.sizes() != network->w.sizes() || w.scalar_type() != network->w.scalar_type()) fail("its W is not like its W0");
  {
    const at::NoGradGuard no_grad;
    network->w.copy_(w);
  }
  const auto* o = options.const_data_ptr<std::int64_t>();
  return TaylorModel(network, TaylorModelOptions{.order = static_cast<int>(o[0]),
                                                 .linear_term = o[1] != 0,
                                                 .initial_output = o[2] != 0,
                                                 .whole_network = o[3] != 0});
}

}  // namespace entk
