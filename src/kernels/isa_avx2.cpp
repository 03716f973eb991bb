#define ENTK_ISA avx2
#include "entk/kernels/tile_kernels_impl.h"
