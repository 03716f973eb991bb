// Labels and comments in gnuplot's language. Internal to plots.
#pragma once

#include <string>

#include "entk/report/plot.h"

namespace entk::plot {

/// A label in gnuplot's enhanced text, as a quoted string.
std::string quoted(const Label& label);

/// The text as one line that starts with #.
std::string comment(const std::string& text);

/// The label without markup: λ3 of {/:Italic λ}_3.
std::string plain_text(const Label& label);

/// Its width in em, of a wide font, as the reader's may be.
double label_em(const Label& label);

}  // namespace entk::plot
