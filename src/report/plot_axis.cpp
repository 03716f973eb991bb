#include "entk/report/plot_axis.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "entk/base/error.h"

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

std::vector<double> multiples(double step, double low, double high) {
  std::vector<double> values;
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; ++i) {
    values.push_back(i * step);
  }
  return values;
}

std::vector<double> mantissas_times_powers(const std::vector<double>& mantissas, double low, double high) {
  std::vector<double> values;
  for (int e = static_cast<int>(std::floor(std::log10(low))); std::pow(10.0, e) <= high; ++e) {
    for (const double mantissa : mantissas) {
      const double value = mantissa * std::pow(10.0, e);
      if (value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9)) values.push_back(value);
    }
  }
  return values;
}

void set_ticks(Scale& scale, double most) {
  if (!scale.logarithmic) {
    scale.step = nice_step((scale.high - scale.low) / most);
    return;
  }
  const double decades = std::log10(scale.high / scale.low);
  if (decades > 1.5 && mantissas_times_powers({1}, scale.low, scale.high).size() >= 2) {
    scale.step = std::pow(10.0, std::max(1.0, std::ceil(decades / most)));
    return;
  }
  scale.ticks = mantissas_times_powers({1, 2, 5}, scale.low, scale.high);
  scale.minor_ticks = mantissas_times_powers({3, 4, 6, 7, 8, 9}, scale.low, scale.high);
  if (scale.ticks.size() < 3) {
    scale.ticks = multiples(nice_step((scale.high - scale.low) / most), scale.low, scale.high);
    scale.minor_ticks.clear();
  }
}

// `touch`: whether data may lie on the frame.
Scale make_scale(const Axis& axis, const char* name, const std::vector<double>& values, bool touch, bool zero_is_near,
                 double most_ticks) {
  Scale scale;
  scale.logarithmic = axis.logarithmic;
  std::vector<double> drawn;
  std::copy_if(values.begin(), values.end(), std::back_inserter(drawn), [&](double v) { return scale.shows(v); });
  const auto position = [&](double v) { return axis.logarithmic ? std::log10(v) : v; };
  const auto value_at = [&](double p) { return axis.logarithmic ? std::pow(10.0, p) : p; };

  double low = 0, high = 1;
  if (!drawn.empty()) {
    const auto [least, greatest] = std::minmax_element(drawn.begin(), drawn.end());
    low = position(*least), high = position(*greatest);
  }
  if (high - low <= 1e-9 * std::max(std::fabs(low), std::fabs(high))) {
    const double half = axis.logarithmic ? 0.5 : low == 0 ? 1.0 : 0.1 * std::fabs(low);
    low -= half, high += half;
  } else if (!touch) {
    const double margin = 0.04 * (high - low);
    const bool to_zero = zero_is_near && !axis.logarithmic && low >= 0 && low < 0.25 * high;
    low = to_zero ? 0 : low - margin;
    high += margin;
  }
  scale.low = axis.minimum.value_or(value_at(low));
  scale.high = axis.maximum.value_or(value_at(high));
  if (!scale.shows(scale.low) || !scale.shows(scale.high) || scale.low >= scale.high) {
    throw InputError(fmt::format("figure: {} axis from {} to {}: expected minimum < maximum{}", name, scale.low,
                                 scale.high, axis.logarithmic ? ", both positive (the axis is logarithmic)" : ""));
  }
  set_ticks(scale, most_ticks);
  return scale;
}

}  // namespace

bool Scale::shows(double value) const {
  // Margins and steps must not overflow, here or in gnuplot.
  constexpr double largest = 1e300;
  return std::fabs(value) < largest && (!logarithmic || value > 1 / largest);
}

std::string tick_text(double value) {
  const double size = std::fabs(value);
  if (size == 0 || (size >= 0.999e-3 && size < 1e5)) return fmt::format("{:.6g}", value);
  const int exponent = static_cast<int>(std::floor(std::log10(size) + 1e-9));
  return fmt::format("{:.4g}×10^{{{}}}", value / std::pow(10.0, exponent), exponent);
}

double Scale::label_distance(double inches) const {
  if (!logarithmic) return inches * step / (high - low);
  if (step > 0) return inches * std::log(step) / std::log(high / low);
  return inches / static_cast<double>(ticks.size());
}

double Scale::label_em() const {
  constexpr double digit = 0.62, point = 0.32, minus = 0.75, small = 0.8;
  if (logarithmic && step > 0) {
    const double longest = std::max(std::fabs(std::log10(low)), std::fabs(std::log10(high)));
    return 2 * digit + small * ((longest >= 10 ? 2 : 1) * digit + (low < 1 ? minus : 0));
  }
  double widest = digit;
  for (const double tick : step > 0 ? multiples(step, low, high) : ticks) {
    double width = 0;
    for (const char c : tick_text(tick)) width += c == '.' ? point : c == '-' ? minus : digit;
    widest = std::max(widest, width);
  }
  return widest;
}

Scale scale_x(const Panel& panel, double inches) {
  std::vector<double> values;
  bool touch = true;
  for (const auto& series : panel.series) {
    values.insert(values.end(), series.x.begin(), series.x.end());
    touch = touch && (series.style == SeriesStyle::line || series.style == SeriesStyle::reference);
  }
  // As many labels as fit beside each other.
  Scale scale;
  for (int most = 8; most >= 2; --most) {
    scale = make_scale(panel.x, "x", values, touch, false, most);
    if (scale.label_distance(inches) > em * (scale.label_em() + 0.7)) break;
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
  return make_scale(panel.y, "y", values, false, true, std::max(2.0, inches / inches_per_y_label));
}

}  // namespace entk::plot
