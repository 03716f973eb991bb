#define ENTK_ISA portable
#include "entk/kernels/cpu/tile_kernels_impl.h"
