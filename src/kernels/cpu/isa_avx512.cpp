#define ENTK_ISA avx512
#include "entk/kernels/cpu/tile_kernels_impl.h"
