// Ranges and ticks of a figure's axes. Internal to plots.
#pragma once

#include <string>
#include <vector>

#include "entk/report/plot.h"

namespace entk::plot {

constexpr double font_points = 8;
constexpr double em = font_points / 72;  // inches

struct Tick {
  double at;
  std::string text;  ///< in enhanced text; empty: a short tick
};

/// What an axis shows, and where its ticks are.
struct Scale {
  double low = 0, high = 1;
  bool logarithmic = false;
  std::vector<Tick> ticks{};

  /// Can this coordinate be drawn on the axis at all?
  bool shows(double value) const;
  /// 0 at the axis' low end, 1 at its high one.
  double part(double value) const;
  /// Width of the widest tick label, in em.
  double label_em() const;
};

/// Range and ticks of the panel's x axis (`inches` long) and y axis: the range of the data, with a margin where points
/// or lines would touch the frame; a linear y axis goes to 0 if 0 is near.
Scale scale_x(const Panel& panel, double inches);
Scale scale_y(const Panel& panel, double inches);

/// 0.2, 5×10^{−5}: in enhanced text.
std::string tick_text(double value);

}  // namespace entk::plot
