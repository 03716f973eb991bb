#include "entk/report/text.h"

#include <cstdint>

namespace entk {

namespace {

// Length of the valid UTF-8 sequence that starts here, 0 if there is none. Overlong forms,
// surrogates, numbers above U+10FFFF and U+FFFE, U+FFFF (which XML forbids) are not valid.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  std::uint32_t point = first & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    point = point << 6 | (byte(i) & 0x3Fu);
  }
  const std::uint32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  const bool forbidden =
      point < least || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF) || point == 0xFFFE || point == 0xFFFF;
  return forbidden ? 0 : length;
}

}  // namespace

std::string clean_text(std::string_view text, bool keep_lines) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    const unsigned char first = static_cast<unsigned char>(text[0]);
    const unsigned char second = length == 2 ? static_cast<unsigned char>(text[1]) : 0;
    const bool control = first < 0x20 || first == 0x7F || (first == 0xC2 && second < 0xA0);
    if (length == 0) {
      clean += "\uFFFD";
    } else if (control && !(keep_lines && (first == '\n' || first == '\t'))) {
      clean += ' ';
    } else {
      clean += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return clean;
}

std::size_t text_width(std::string_view text) {
  std::size_t width = 0;
  for (const char c : text) width += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return width;
}

std::string with_minus_signs(std::string_view number) {
  std::string text;
  for (const char c : number) text += c == '-' ? std::string("−") : std::string(1, c);
  return text;
}

std::string escape_html(std::string_view text) {
  std::string escaped;
  for (const char c : clean_text(text, /*keep_lines=*/true)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

}  // namespace entk
