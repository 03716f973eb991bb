#include <algorithm>
#include <cmath>
#include <string>

#include <fmt/format.h>

#include "entk/io/text.h"
#include "entk/report/table.h"
#include "entk/report/text.h"

namespace entk {

namespace {

// Exponent of ten once the value is rounded to this many significant digits: 9.996 has 1 at three.
int rounded_exponent(double value, int digits) {
  const std::string text = fmt::format("{:.{}e}", value, digits - 1);
  return std::stoi(text.substr(text.find('e') + 1));
}

// Exponents shown without an e.
bool is_plain(int exponent) { return exponent >= -4 && exponent < 6; }

// Whole numbers that are exact are written out: 20000, not 2e+04.
bool is_short_whole(double value) { return value == std::trunc(value) && std::fabs(value) < 1e9; }

// 1.5e-07 as 1.5e-7, 1e+23 as 1e23.
std::string tidy_exponent(const std::string& text) {
  const auto e = text.find('e');
  return e == std::string::npos ? text : fmt::format("{}e{}", text.substr(0, e), std::stoi(text.substr(e + 1)));
}

// A number that is exact at fewer digits, as parameters are, is written without trailing zeros: 0.01, not 0.0100.
std::string significant(double value, int digits) {
  if (value == 0.0) return "0";
  if (is_short_whole(value)) return fmt::format("{:.0f}", value);
  const int exponent = rounded_exponent(value, digits);
  const int decimals = is_plain(exponent) ? std::max(0, digits - 1 - exponent) : digits - 1;
  std::string text =
      is_plain(exponent) ? fmt::format("{:.{}f}", value, decimals) : fmt::format("{:.{}e}", value, decimals);
  const auto e = std::min(text.find('e'), text.size()), last = text.find_last_not_of("0.", e - 1);
  if (std::strtod(text.c_str(), nullptr) == value && decimals > 0) text.erase(last + 1, e - last - 1);
  return tidy_exponent(text);
}

}  // namespace

std::string format_number(double value, int digits, NumberFormat format) {
  if (std::isnan(value)) return "–";
  if (std::isinf(value)) return value > 0 ? "∞" : "−∞";
  return with_minus_signs(format == NumberFormat::fixed      ? fmt::format("{:.{}f}", value, std::max(0, digits))
                          : format == NumberFormat::shortest ? tidy_exponent(shortest(value))
                                                             : significant(value, std::max(1, digits)));
}

std::string format_number(Uncertain number, int digits, NumberFormat format) {
  const auto [value, deviation] = number;
  const std::string plain = format_number(value, digits, format);
  if (std::isnan(deviation) || !std::isfinite(value)) return plain;
  if (deviation == 0.0 || std::isinf(deviation)) {
    return fmt::format("{} ± {}", plain, format_number(deviation, 2));
  }
  constexpr int deviation_digits = 2;
  const int last = rounded_exponent(deviation, deviation_digits) - (deviation_digits - 1);
  const int first = rounded_exponent(std::max(std::fabs(value), deviation), deviation_digits);
  if (first - last > 9) return fmt::format("{} ± {}", plain, format_number(deviation, 2));
  if (is_plain(first) && last >= -7) {
    const int decimals = std::max(0, -last);
    return with_minus_signs(fmt::format("{:.{}f} ± {:.{}f}", value, decimals, deviation, decimals));
  }
  const double scale = std::pow(10.0, first);
  return with_minus_signs(
      fmt::format("({:.{}f} ± {:.{}f})e{}", value / scale, first - last, deviation / scale, first - last, first));
}

namespace {

// Digits at which an interval shows two digits of its half width.
int digits_of(const Estimate& e, int digits) {
  const double half = 0.5 * (e.high - e.low), largest = std::max(std::fabs(e.low), std::fabs(e.high));
  if (!e.has_interval() || !(half > 0)) return digits;
  return std::clamp(rounded_exponent(largest, 2) - rounded_exponent(half, 2) + 2, digits, 17);
}

}  // namespace

std::string format_number(const Estimate& number, int digits) {
  const int shown = digits_of(number, digits);
  const auto plain = format_number(number.value, shown);
  if (!number.has_interval() || number.low == number.high) return plain;
  return fmt::format("{} [{}, {}]", plain, format_number(number.low, shown), format_number(number.high, shown));
}

std::string to_sentence(const Estimate& number, int digits) {
  const int shown = digits_of(number, digits);
  const auto plain = format_number(number.value, shown);
  if (!number.has_interval()) return fmt::format("{} (no interval: {})", plain, number.from);
  if (number.low == number.high) return number.from == "computed" ? plain : fmt::format("{} ({})", plain, number.from);
  return fmt::format("{} (95% interval {} to {}, {})", plain, format_number(number.low, shown),
                     format_number(number.high, shown), number.from);
}

}  // namespace entk
