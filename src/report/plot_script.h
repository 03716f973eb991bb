// A figure as gnuplot's input. Internal to plots.
#pragma once

#include <string>

#include "entk/report/plot.h"

namespace entk::plot {

/// All series, one gnuplot index each, in the order of panels and series, every value as given.
std::string data_text(const std::string& name, const Figure& figure);

/// The script that draws name.svg, name.png and name.pdf from name.dat.
std::string script_text(const std::string& name, const Figure& figure);

}  // namespace entk::plot
