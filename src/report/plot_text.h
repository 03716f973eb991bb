// Numbers, labels and comments in gnuplot's language. Internal to plots.
#pragma once

#include <string>

#include "entk/report/plot.h"

namespace entk::plot {

/// The shortest form that reads back as the same double; nan, inf, -inf.
std::string number(double value);

/// A label in gnuplot's enhanced text, as a quoted string.
std::string quoted(const Label& label);

/// The text as one line that starts with #.
std::string comment(const std::string& text);

}  // namespace entk::plot
