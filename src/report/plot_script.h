// A figure as gnuplot's input. Internal to plots.
#pragma once

#include <string>

#include "entk/report/plot.h"
#include "entk/report/plot_layout.h"

namespace entk::plot {

/// All series, one gnuplot index each, in the order of panels and series, every value as given.
std::string data_text(const std::string& name, const Figure& figure);

/// How a curve's line is drawn.
struct Pen {
  std::string color;  ///< #rrggbb
  double width;
  std::string dash;  ///< 6,4: lengths of line and gap in turn; empty: solid
};
Pen pen_of(const Figure& figure, const Layout& layout, std::size_t panel, std::size_t series);

/// The script that draws name.svg, name.png and name.pdf from name.dat.
std::string script_text(const std::string& name, const Figure& figure);

}  // namespace entk::plot
