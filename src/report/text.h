// Text from users on its way into files: valid UTF-8, its width, HTML's escapes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace entk {

/// The same text as valid UTF-8 on one line: invalid bytes become U+FFFD, line breaks, tabs and
/// other control characters become spaces (kept with `keep_lines`: "\n" and "\t").
std::string clean_text(std::string_view text, bool keep_lines = false);

/// Number of code points of valid UTF-8: the width of a column in a terminal, wide and combining
/// characters apart.
std::size_t text_width(std::string_view text);

/// A number as text with − (U+2212) for each hyphen: the one minus sign that readers see.
std::string with_minus_signs(std::string_view number);

/// Clean text with & < > " ' escaped, for HTML's contents and attributes.
std::string escape_html(std::string_view text);

/// The same for what readers read: indices and exponents as such, f_L, ‖W‖_{2,4}, log_d(n), m^(-1/2), d^k, where a
/// symbol of one letter has them, and − for a hyphen before a number.
std::string prose_html(std::string_view text);

/// How wide a line of text is in em, in a face as wide as DejaVu Sans.
double text_em(std::string_view text);

}  // namespace entk
