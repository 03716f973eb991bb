#define ENTK_ISA avx512
#include "entk/kernels/cpu/tile/table.h"
