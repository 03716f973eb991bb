#include "entk/report/plot_text.h"

#include <algorithm>
#include <string_view>

#include "entk/report/text.h"

namespace entk::plot {

std::string quoted(const Label& label) {
  const std::string text = clean_text(label.text);
  std::string out = "'";
  bool font = false;  // in {/:Italic …}, before the space
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (!label.rich && std::string_view("\\{}_^@&~").find(c) != std::string_view::npos) out += '\\';
    // gnuplot 5.4 misreads a doubled quote right after another quote.
    if (c == '\'' && out.back() == '\'') out += "{}";
    // \U+03BB would become a letter, escaped or not.
    if (!label.rich && c == 'U' && i > 0 && text[i - 1] == '\\') out += "{}";
    font = label.rich && (font || text.compare(i, 2, "{/") == 0);
    // Some SVG viewers drop a space beside markup; a no-break space stays.
    out += c == '\'' ? "''" : c == ' ' && !font ? "\u00A0" : std::string(1, c);
    font = font && c != ' ';
  }
  return out + "'";
}

std::string comment(const std::string& text) {
  std::string line = "# " + clean_text(text);
  // A comment that ended with a backslash would swallow the next line.
  return line + (line.back() == '\\' ? " .\n" : "\n");
}

std::string plain_text(const Label& label) {
  std::string text;
  for (std::size_t i = 0; i < label.text.size(); ++i) {
    if (label.rich && label.text.compare(i, 2, "{/") == 0) {
      i = std::min(label.text.find(' ', i), label.text.size());
    } else if (!label.rich || std::string_view("{}_^\\").find(label.text[i]) == std::string_view::npos) {
      text += label.text[i];
    }
  }
  return clean_text(text);
}

double label_em(const Label& label) {
  double width = 0;
  bool small = false, group = false;  // after _ or ^, in braces or for one character
  for (std::size_t i = 0; i < label.text.size(); ++i) {
    const char c = label.text[i];
    if (label.rich && label.text.compare(i, 2, "{/") == 0) {
      i = std::min(label.text.find(' ', i), label.text.size());  // {/:Italic …
    } else if (label.rich && (c == '_' || c == '^')) {
      small = true, group = i + 1 < label.text.size() && label.text[i + 1] == '{';
    } else if (label.rich && (c == '{' || c == '}' || c == '\\')) {
      if (c == '}') small = group = false;
    } else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) {  // not the rest of a character
      const bool narrow = std::string_view(" .,:;'|!ijlft()[]/-").find(c) != std::string_view::npos;
      const bool wide = std::string_view("mwMW%@").find(c) != std::string_view::npos;
      width += (narrow ? 0.36 : wide || c < 0 ? 0.85 : 0.65) * (small ? 0.8 : 1.0);
      small = small && group;
    }
  }
  return width;
}

}  // namespace entk::plot
