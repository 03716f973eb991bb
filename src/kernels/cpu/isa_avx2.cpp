#define ENTK_ISA avx2
#include "entk/kernels/cpu/tile/table.h"
