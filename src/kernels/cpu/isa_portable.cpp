#define ENTK_ISA portable
#include "entk/kernels/cpu/tile/table.h"
