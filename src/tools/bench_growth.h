// Time and memory of one step against n, d and m, one at a time, as bench/compare.py measures them for
// entk and the programs it is compared with.
#pragma once

#include <filesystem>

#include "entk/report/plot.h"
#include "entk/report/table.h"

namespace entk {

struct GrowthResults {
  Table slopes;       ///< exponents of time and memory, fitted from Figure 1's size upward
  FigureFiles files;  ///< growth.{svg,png,pdf,dat,gp}, beside the numbers
};

/// numbers: a JSON list of objects with axis ("n", "d" or "m"), program, n, d, m, seconds and
/// peak_memory_bytes. @throws InputError for a file of another form.
GrowthResults draw_growth(const std::filesystem::path& numbers);

}  // namespace entk
