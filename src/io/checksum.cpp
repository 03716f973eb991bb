#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>
#include <memory>
#include <new>

#include "entk/base/error.h"
#include "entk/io/pt_file.h"
#include "entk/io/text.h"

namespace entk {

static_assert(std::endian::native == std::endian::little);

torch::Tensor checksum(const TensorDict& dict) {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(), XXH3_freeState);
  if (!state) throw std::bad_alloc();
  XXH3_128bits_reset(state.get());
  const auto number = [&](std::int64_t value) { XXH3_128bits_update(state.get(), &value, sizeof value); };
  const auto text = [&](std::string_view value) {
    number(static_cast<std::int64_t>(value.size()));
    XXH3_128bits_update(state.get(), value.data(), value.size());
  };
  for (const auto& [name, tensor] : dict) {
    if (!tensor.defined() || !tensor.is_cpu() || tensor.layout() != torch::kStrided || !tensor.is_contiguous())
      throw InputError("entry " + in_quotes(name) + ": a checksum is of contiguous tensors on the cpu");
    text(name);
    text(c10::toString(tensor.scalar_type()));
    number(tensor.dim());
    for (const std::int64_t size : tensor.sizes()) number(size);
    if (tensor.nbytes() > 0) XXH3_128bits_update(state.get(), tensor.const_data_ptr(), tensor.nbytes());
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  auto result = torch::empty({2}, torch::kInt64);
  result.data_ptr<std::int64_t>()[0] = static_cast<std::int64_t>(hash.low64);
  result.data_ptr<std::int64_t>()[1] = static_cast<std::int64_t>(hash.high64);
  return result;
}

}  // namespace entk
