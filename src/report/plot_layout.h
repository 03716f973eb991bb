// Where the panels of a figure and the names of their curves are. Internal to plots.
#pragma once

#include <vector>

#include "entk/report/plot.h"
#include "entk/report/plot_axis.h"

namespace entk::plot {

constexpr double title_distance = 0.9 * em;     // middle of a panel's title above its frame
constexpr double x_label_distance = 2.35 * em;  // middle of the x label below the frame

/// From the frame to the middle of the y label, in inches.
double y_label_distance(const Scale& scale);

/// Edges as parts of the page, from the lower left.
struct Box {
  double left, right, bottom, top;
};

/// A curve's name with a piece of the curve before it: a sample, or what leads from the curve's end. In parts of the
/// page.
struct Entry {
  std::size_t panel, series;
  bool leads;
  double from_x, from_y, to_x, y, text_x;
};

struct Layout {
  double width = 0, height = 0;  ///< inches
  std::vector<Box> boxes;
  std::vector<Scale> x, y;
  std::vector<Entry> entries;  ///< none of them on a frame
};

/// The series' place in the palette; −1 for grey, −2 for the plain colour of a curve without name or data.
int color_index(const Figure& figure, std::size_t panel, std::size_t series);

/// Frames of equal size in a grid, each column and row with the margins that its labels need; as many columns as leave
/// the frames a readable width.
Layout make_layout(const Figure& figure);

}  // namespace entk::plot
