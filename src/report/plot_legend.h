// Where legends go and what they hold. Internal to plots.
#pragma once

#include <utility>
#include <vector>

#include "entk/report/plot.h"
#include "entk/report/plot_axis.h"

namespace entk::plot {

/// An entry of the legend below the panels, in parts of the page.
struct LegendEntry {
  std::size_t panel, series;
  double sample_left, sample_right, text_left, y;
};

/// The series' place in the palette.
int color_index(const Panel& panel, std::size_t series);

/// Has the panel anything to name?
bool has_entries(const Panel& panel);

/// Would one legend serve both panels?
bool same_entries(const Panel& a, const Panel& b);

/// The emptiest corner of a frame of this size in inches, and whether nothing at all is there.
std::pair<Legend, bool> free_corner(const Panel& panel, const Scale& x, const Scale& y, double width, double height);

/// Adds a panel's entries to the legend below: one row in the middle of the page if it fits, else a
/// grid of equal columns. `page` is the width in inches, `top` the height of what is there already;
/// the entries' y is left in inches from the top. Returns the new height.
double place_strip(const Panel& panel, std::size_t p, double page, double top, std::vector<LegendEntry>& strip);

}  // namespace entk::plot
