#define ENTK_ISA avx512
#include "entk/kernels/tile_kernels_impl.h"
