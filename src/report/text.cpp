#include "entk/report/text.h"

#include <algorithm>
#include <cctype>
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

namespace {

bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) || (static_cast<unsigned char>(c) & 0x80); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Whether what ends here can have an index or an exponent: a letter by itself, ‖, a bracket, log; for an exponent a
/// number or an index too.
bool is_symbol(std::string_view before, bool exponent) {
  if (exponent && !before.empty() && (is_digit(before.back()) || before.back() == '}')) return true;
  if (before.ends_with("‖") || before.ends_with(")") || before.ends_with("log")) return true;
  std::size_t last = before.size();
  do {
    if (last-- == 0) return false;
  } while ((static_cast<unsigned char>(before[last]) & 0xC0) == 0x80);
  if (!is_letter(before[last])) return false;
  if (last == 0) return true;
  const char c = before[last - 1];
  return !std::isalnum(static_cast<unsigned char>(c)) &&
         std::string_view(exponent ? "_" : "_./").find(c) == std::string_view::npos;
}

/// Length of the index or exponent at the start of this: {…} or (…), letters or digits alone, at most three.
std::size_t script_length(std::string_view text) {
  if (text.starts_with("{") || text.starts_with("(")) {
    int open = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      open += (text[i] == '{' || text[i] == '(') - (text[i] == '}' || text[i] == ')');
      if (open == 0) return i + 1;
    }
    return 0;
  }
  std::size_t length = text.starts_with("-") ? 1 : 0;
  const std::size_t sign = length;
  const auto run = [&](auto is) {
    while (length < text.size() && is(text[length])) ++length;
  };
  run(is_digit);
  if (length == sign) run([](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; });
  if (length == 0 && !text.empty() && is_letter(text[0])) {  // one letter that is not ASCII
    do ++length;
    while (length < text.size() && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80);
  }
  const bool ends =
      length == text.size() || (text[length] != '_' && !std::isalnum(static_cast<unsigned char>(text[length])));
  return ends && length - sign <= 3 ? length - (length == sign ? sign : 0) : 0;
}

}  // namespace

std::string prose_html(std::string_view text) {
  std::string html;
  std::size_t plain = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view before = text.substr(0, i), after = text.substr(i + 1);
    const bool after_script = i > 0 && plain == i;
    if ((text[i] == '_' || text[i] == '^') && (after_script || is_symbol(before, text[i] == '^'))) {
      const std::size_t length = script_length(after);
      if (length == 0) continue;
      auto script = after.substr(0, length);
      if (script.front() == '{' || script.front() == '(') script = script.substr(1, length - 2);
      const char* tag = text[i] == '_' ? "sub" : "sup";
      html += escape_html(text.substr(plain, i - plain));
      html += std::string("<") + tag + ">" + prose_html(with_minus_signs(script)) + "</" + tag + ">";
      i += length;
      plain = i + 1;
    } else if (text[i] == '-' && !after.empty() && is_digit(after[0]) &&
               (i == 0 || std::string_view(" ([").find(text[i - 1]) != std::string_view::npos ||
                (i > 1 && text[i - 1] == 'e' && is_digit(text[i - 2])))) {
      html += escape_html(text.substr(plain, i - plain)) + "−";
      plain = i + 1;
    }
  }
  return html + escape_html(text.substr(std::min(plain, text.size())));
}

double text_em(std::string_view text) {
  double em = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0) == 0x80) continue;
    const bool narrow = std::string_view(" .,:;'!|()[]/-fijlrtI").find(c) != std::string_view::npos;
    em += narrow ? 0.38 : std::string_view("mwMW%+=<>").find(c) != std::string_view::npos ? 0.86 : 0.66;
  }
  return em;
}

}  // namespace entk
