// Ranges and ticks of a figure's axes. Internal to plots.
#pragma once

#include <string>
#include <vector>

#include "entk/report/plot.h"

namespace entk::plot {

constexpr double font_points = 8;
constexpr double em = font_points / 72;  // inches

/// What an axis shows, and where its labelled ticks are.
struct Scale {
  double low = 0, high = 1;
  bool logarithmic = false;
  double step = 0;                  ///< between labels (a factor on a logarithmic axis); 0: `ticks` instead
  std::vector<double> ticks;        ///< labelled by tick_text, where decades are too far apart
  std::vector<double> minor_ticks;  ///< without a label, beside `ticks`

  /// Can this coordinate be drawn on the axis at all?
  bool shows(double value) const;
  /// Width of the widest tick label, in em of a wide font.
  double label_em() const;
  /// Distance between labels on an axis of this length.
  double label_distance(double inches) const;
};

/// Range and ticks of the panel's x axis (`inches` long) and y axis. Where nothing says otherwise
/// the range is that of the data, with a margin where points or lines would touch the frame; a
/// linear y axis goes to 0 if 0 is near. @throws InputError for minimum ≥ maximum, or a minimum
/// that is not positive on a logarithmic axis.
Scale scale_x(const Panel& panel, double inches);
Scale scale_y(const Panel& panel, double inches);

/// 0.2, 5×10^{-5}: in enhanced text.
std::string tick_text(double value);

}  // namespace entk::plot
