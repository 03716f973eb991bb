#include "entk/report/plot_axis.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "entk/report/plot_text.h"
#include "entk/report/text.h"

namespace entk::plot {

namespace {

constexpr double inches_per_y_label = 0.23;

// The least of 1, 2, 2.5, 5, 10 times a power of ten that is at least `least`.
double nice_step(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double mantissa : {1.0, 2.0, 2.5, 5.0}) {
    if (mantissa * power >= least * (1 - 1e-9)) return mantissa * power;
  }
  return 10.0 * power;
}

void add_multiples(Scale& scale, double step) {
  for (double i = std::ceil(scale.low / step - 1e-9); i * step <= scale.high + 1e-9 * step; ++i) {
    scale.ticks.push_back({i * step + 0.0, tick_text(i * step + 0.0)});  // no −0
  }
}

void set_ticks(Scale& scale, double most) {
  scale.ticks.clear();
  const double step = nice_step((scale.high - scale.low) / most);
  if (!scale.logarithmic) return add_multiples(scale, step);
  const int first = static_cast<int>(std::floor(std::log10(scale.low)));
  const int last = static_cast<int>(std::floor(std::log10(scale.high) + 1e-9));
  const double decades = std::log10(scale.high / scale.low);
  // Decades where there are two of them, every `apart`th with its power; else 1, 2 and 5 times a power of ten.
  const bool powers = decades > 1.5 && last - static_cast<int>(std::ceil(std::log10(scale.low) - 1e-9)) >= 1;
  const int apart = std::max(1, static_cast<int>(std::ceil(decades / most)));
  int labels = 0;
  for (int e = first; e <= last; ++e) {
    for (int mantissa = 1; mantissa <= (apart > 1 ? 1 : 9); ++mantissa) {
      const double at = mantissa * std::pow(10.0, e);
      if (at < scale.low * (1 - 1e-9) || at > scale.high * (1 + 1e-9)) continue;
      const bool labelled = powers ? mantissa == 1 && e % apart == 0 : mantissa == 1 || mantissa == 2 || mantissa == 5;
      labels += labelled;
      scale.ticks.push_back({at, !labelled ? ""
                                 : powers  ? with_minus_signs(fmt::format("10^{{{}}}", e))
                                           : tick_text(at)});
    }
  }
  if (labels >= 3 || powers) return;
  scale.ticks.clear();
  add_multiples(scale, step);
}

// `touch`: whether data may lie on the frame.
Scale make_scale(bool logarithmic, const std::vector<double>& values, bool touch, bool zero_is_near) {
  Scale scale{.logarithmic = logarithmic};
  std::vector<double> drawn;
  for (const double v : values) {
    if (scale.shows(v)) drawn.push_back(logarithmic ? std::log10(v) : v);
  }
  double low = 0, high = 1;
  if (!drawn.empty()) {
    const auto [least, greatest] = std::minmax_element(drawn.begin(), drawn.end());
    low = *least, high = *greatest;
  }
  if (high - low <= 1e-9 * std::max(std::fabs(low), std::fabs(high))) {
    const double half = logarithmic ? 0.5 : low == 0 ? 1.0 : 0.1 * std::fabs(low);
    low -= half, high += half;
  } else if (!touch) {
    const double margin = 0.04 * (high - low);
    const bool to_zero = zero_is_near && !logarithmic && low >= 0 && low < 0.25 * high;
    low = to_zero ? 0 : low - margin;
    high += margin;
  }
  scale.low = logarithmic ? std::pow(10.0, low) : low;
  scale.high = logarithmic ? std::pow(10.0, high) : high;
  return scale;
}

// Do its labels fit next to each other?
bool labels_fit(const Scale& scale, double inches) {
  const double room = em * (scale.label_em() + 0.7);
  double before = -INFINITY;
  for (const auto& tick : scale.ticks) {
    if (tick.text.empty()) continue;
    const double at = inches * scale.part(tick.at);
    if (at - before < room) return false;
    before = at;
  }
  return true;
}

}  // namespace

bool Scale::shows(double value) const {
  // Margins and steps must not overflow, here or in gnuplot.
  constexpr double largest = 1e300;
  return std::fabs(value) < largest && (!logarithmic || value > 1 / largest);
}

double Scale::part(double value) const {
  return logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
}

double Scale::label_em() const {
  double widest = 0;
  for (const auto& tick : ticks) widest = std::max(widest, plot::label_em(rich_text(tick.text)));
  return widest;
}

std::string tick_text(double value) {
  const double size = std::fabs(value);
  if (size == 0 || (size >= 0.999e-3 && size < 1e5)) return with_minus_signs(fmt::format("{:.6g}", value));
  const int exponent = static_cast<int>(std::floor(std::log10(size) + 1e-9));
  return with_minus_signs(fmt::format("{:.4g}×10^{{{}}}", value / std::pow(10.0, exponent), exponent));
}

Scale scale_x(const Panel& panel, double inches) {
  std::vector<double> values;
  bool touch = true;
  for (const auto& series : panel.series) {
    values.insert(values.end(), series.x.begin(), series.x.end());
    touch = touch && (series.style == SeriesStyle::line || series.style == SeriesStyle::reference);
  }
  Scale scale = make_scale(panel.x.logarithmic, values, touch, false);
  int most = 8;
  do set_ticks(scale, most);
  while (--most >= 1 && !labels_fit(scale, inches));
  // Where 1, 2 and 5 are too many, 1 alone.
  for (auto& tick : scale.ticks) {
    if (scale.logarithmic && !labels_fit(scale, inches) && tick.text[0] != '1') tick.text.clear();
  }
  return scale;
}

Scale scale_y(const Panel& panel, double inches) {
  std::vector<double> values;
  double least = INFINITY;
  for (const auto& series : panel.series) {
    for (const double y : series.y) {
      values.push_back(y);
      if (y > 0 && std::isfinite(y)) least = std::min(least, y);
    }
    values.insert(values.end(), series.high.begin(), series.high.end());
  }
  for (const auto& series : panel.series) {
    for (const double low : series.low) {
      // A band that dips towards 0 would stretch a logarithmic axis over decades of nothing.
      if (!panel.y.logarithmic || low >= 0.5 * least) values.push_back(low);
    }
  }
  Scale scale = make_scale(panel.y.logarithmic, values, false, true);
  set_ticks(scale, std::max(2.0, inches / inches_per_y_label));
  return scale;
}

}  // namespace entk::plot
