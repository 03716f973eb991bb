#include <cstdlib>
#include <string>

#include "entk/base/error.h"
#include "entk/kernels/cpu/tile_kernels.h"

namespace entk::kernels {

Isa best_isa() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw")) {
    return Isa::avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
  return Isa::portable;
}

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    default:
      return "portable";
  }
}

Isa selected_isa() {
  const char* wanted = std::getenv("ENTK_ISA");
  if (!wanted || !*wanted) return best_isa();
  for (Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
    if (std::string(wanted) != isa_name(isa)) continue;
    if (isa > best_isa()) {
      throw InputError(std::string("--isa (ENTK_ISA): ") + wanted +
                       " asked for; the best of this processor and build is " + isa_name(best_isa()));
    }
    return isa;
  }
  throw InputError(std::string("--isa (ENTK_ISA): expected portable, avx2 or avx512, got '") + wanted + "'");
}

template <class T>
const TileKernels<T>& tile_kernels(Isa isa) {
  if (isa > best_isa()) {
    throw InputError(std::string("instruction set ") + isa_name(isa) + " asked for; this processor's best is " +
                     isa_name(best_isa()));
  }
#if defined(__x86_64__)
  if (isa == Isa::avx512) return avx512::table<T>();
  if (isa == Isa::avx2) return avx2::table<T>();
#endif
  return portable::table<T>();
}
template const TileKernels<float>& tile_kernels<float>(Isa);
template const TileKernels<double>& tile_kernels<double>(Isa);

}  // namespace entk::kernels
