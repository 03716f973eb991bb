#include "entk/report/plot_text.h"

#include <cmath>
#include <string_view>

#include "entk/report/table.h"
#include "entk/report/text.h"

namespace entk::plot {

std::string number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return format_number(value, 0, NumberFormat::shortest);
}

std::string quoted(const Label& label) {
  const std::string text = clean_text(label.text);
  std::string out = "'";
  bool font = false;  // in {/:Italic …}, before the space
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (!label.rich && std::string_view("\\{}_^@&~").find(c) != std::string_view::npos) out += '\\';
    // gnuplot 5.4 misreads a doubled quote right after another quote.
    if (c == '\'' && out.back() == '\'') out += "{}";
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

}  // namespace entk::plot
