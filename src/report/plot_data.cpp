#include <fmt/format.h>

#include "entk/report/plot_script.h"
#include "entk/report/plot_text.h"

namespace entk::plot {

std::string data_text(const std::string& name, const Figure& figure) {
  std::string out = comment(figure.title.text.empty() ? name : name + ": " + figure.title.text);
  if (!figure.caption.empty()) out += comment(figure.caption);
  std::size_t index = 0;
  for (std::size_t p = 0; p < figure.panels.size(); ++p) {
    const Panel& panel = figure.panels[p];
    for (const Series& series : panel.series) {
      if (index > 0) out += "\n\n";
      out += comment(fmt::format("index {}: panel {} ({}), {}", index, p + 1, panel.title.text, series.label.text));
      ++index;
      const bool band = !series.low.empty();
      out +=
          comment(fmt::format("x ({})  y ({}){}", panel.x.label.text, panel.y.label.text, band ? "  low  high" : ""));
      for (std::size_t i = 0; i < series.x.size(); ++i) {
        out += fmt::format("{} {}", number(series.x[i]), number(series.y[i]));
        if (band) out += fmt::format(" {} {}", number(series.low[i]), number(series.high[i]));
        out += "\n";
      }
      if (series.x.empty()) out += "nan nan\n";  // gnuplot would not count an empty index
    }
  }
  return out;
}

}  // namespace entk::plot
