// Where the panels and the legends of a figure are. Internal to plots.
#pragma once

#include <string>
#include <vector>

#include "entk/report/plot.h"
#include "entk/report/plot_axis.h"

namespace entk::plot {

constexpr double title_height = 2.0 * em;       // of the figure's title
constexpr double title_distance = 0.9 * em;     // middle of a panel's title above its frame
constexpr double x_label_distance = 2.35 * em;  // middle of the x label below the frame
constexpr double right_margin = 0.9 * em;

/// From the frame to the middle of the y label, in inches.
double y_label_distance(const Scale& scale);

/// Edges as parts of the page, from the lower left.
struct Box {
  double left, right, bottom, top;
};

/// An entry of the legend below the panels, in parts of the page.
struct LegendEntry {
  std::size_t panel, series;
  double sample_left, sample_right, text_left, y;
};

struct Layout {
  double width, height;  ///< inches
  std::vector<Box> boxes;
  std::vector<Scale> x, y;
  std::vector<Legend> legends;  ///< by panel: a corner or none
  std::vector<LegendEntry> strip;  ///< below all panels
};

Layout make_layout(const Figure& figure);

/// The series' place in the palette.
int color_index(const Panel& panel, std::size_t series);

/// Width of a label in em, roughly (markup left out).
double label_em(const Label& label);

}  // namespace entk::plot
