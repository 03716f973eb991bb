#define ENTK_ISA portable
#include "entk/kernels/tile_kernels_impl.h"
