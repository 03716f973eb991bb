// A figure's numbers inside its SVG, for a page whose curves answer. Internal to plots.
#pragma once

#include <string>

#include "entk/report/plot.h"

namespace entk::plot {

/// The SVG with a <metadata> element of JSON at its end: the panels' boxes (left, top, right, bottom in the SVG's
/// units), axes and curves, what a fresh drawing has to cover, and where the names stand. page.js reads it.
std::string with_numbers(const std::string& svg, const Figure& figure);

}  // namespace entk::plot
