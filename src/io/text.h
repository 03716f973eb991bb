// Numbers and strange strings as text, for CSV files, JSON files and messages.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace entk {

/// The shortest decimal form that reads back as the same double; whole numbers below 10^15 without
/// an exponent; nan, inf, -inf.
std::string shortest(double value);

/// All of `text` as a double, in the forms that shortest() writes; nothing if it is not one, or if
/// it lies outside the range of a double.
std::optional<double> parse_double(std::string_view text);

/// The text in single quotes, for a message: control characters and bytes that are not ASCII are
/// shown as \xNN, and what is longer than 80 characters is cut.
std::string in_quotes(std::string_view text);

}  // namespace entk
