// Where the panels of a figure are. Internal to plots.
#pragma once

#include <vector>

#include "entk/report/plot.h"
#include "entk/report/plot_axis.h"
#include "entk/report/plot_legend.h"

namespace entk::plot {

constexpr double title_height = 2.0 * em;       // of the figure's title
constexpr double title_distance = 0.9 * em;     // middle of a panel's title above its frame
constexpr double x_label_distance = 2.35 * em;  // middle of the x label below the frame

/// From the frame to the middle of the y label, in inches.
double y_label_distance(const Scale& scale);

/// Edges as parts of the page, from the lower left.
struct Box {
  double left, right, bottom, top;
};

struct Layout {
  double width = 0, height = 0;  ///< inches
  std::vector<Box> boxes;
  std::vector<Scale> x, y;
  std::vector<Legend> legends;     ///< by panel: a corner or none
  std::vector<LegendEntry> strip;  ///< below all panels
};

/// Frames of equal size in a grid, each column and row with the margins that its labels need.
/// @throws InputError where the width leaves no room for the frames.
Layout make_layout(const Figure& figure);

}  // namespace entk::plot
