#include "entk/report/plot_answers.h"

#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "entk/io/text.h"
#include "entk/report/palette.h"
#include "entk/report/plot_layout.h"
#include "entk/report/plot_script.h"
#include "entk/report/plot_text.h"
#include "entk/report/text.h"

namespace entk::plot {

namespace {

using nlohmann::json;

// Six digits are enough for the eye; null where nothing is drawn.
json rounded(double value) {
  const auto short_value = parse_double(fmt::format("{:.6g}", value));
  return short_value && std::fabs(*short_value) < 1e300 ? json(*short_value) : json();
}

json rounded(const std::vector<double>& values) {
  json list = json::array();
  for (const double v : values) list.push_back(rounded(v));
  return list;
}

// A curve's own name; one without has those of the named series that it shares its colour or its dashes with.
json names_of(const Figure& figure, std::size_t p, std::size_t s) {
  const Panel& panel = figure.panels[p];
  const Series& own = panel.series[s];
  if (!own.label.text.empty()) return {plain_text(own.label)};
  json names = json::array();
  for (std::size_t t = 0; t < panel.series.size(); ++t) {
    const Series& other = panel.series[t];
    if (other.label.text.empty()) continue;
    const int color = color_index(figure, p, t);
    const bool same_color = color >= 0 && color == color_index(figure, p, s);
    if (same_color || (color < 0 && other.x.empty() && other.dash == own.dash))
      names.push_back(plain_text(other.label));
  }
  return names;
}

}  // namespace

std::string with_numbers(const std::string& svg, const Figure& figure) {
  const Layout layout = make_layout(figure);
  const double width = std::round(layout.width * 96), height = std::round(layout.height * 96), unit = em * 96;
  json panels = json::array(), entries = json::array();
  for (std::size_t p = 0; p < figure.panels.size(); ++p) {
    const Panel& panel = figure.panels[p];
    const Box& box = layout.boxes[p];
    double cover_right = box.right * width + 4;
    for (const Entry& e : layout.entries) {
      if (e.panel == p && e.leads) cover_right = e.text_x * width - 0.2 * unit;
    }
    json series = json::array();
    for (std::size_t s = 0; s < panel.series.size(); ++s) {
      const Series& own = panel.series[s];
      if (own.x.empty()) continue;
      const Pen pen = pen_of(figure, layout, p, s);
      series.push_back({{"names", names_of(figure, p, s)},
                        {"color", pen.color},
                        {"width", pen.width},
                        {"dash", pen.dash},
                        {"line", own.style != SeriesStyle::points},
                        {"markers", own.style == SeriesStyle::points || own.style == SeriesStyle::line_points},
                        {"x", rounded(own.x)},
                        {"y", rounded(own.y)},
                        {"low", rounded(own.low)},
                        {"high", rounded(own.high)}});
    }
    const auto axis = [](const Axis& a, const Scale& scale) {
      return json{{"label", plain_text(a.label)}, {"low", scale.low}, {"high", scale.high}, {"log", scale.logarithmic}};
    };
    panels.push_back(
        {{"title", plain_text(panel.title)},
         {"box", rounded({box.left * width, (1 - box.top) * height, box.right * width, (1 - box.bottom) * height})},
         {"cover", rounded({box.left * width - unit * (layout.y[p].label_em() + 0.9), cover_right,
                            (1 - box.bottom) * height + 1.6 * unit})},
         {"x", axis(panel.x, layout.x[p])},
         {"y", axis(panel.y, layout.y[p])},
         {"series", std::move(series)}});
  }
  for (const Entry& e : layout.entries) {
    const Label& label = figure.panels[e.panel].series[e.series].label;
    const double y = (1 - e.y) * height, left = e.leads ? e.to_x : e.from_x;
    entries.push_back({{"name", plain_text(label)},
                       {"panel", e.panel},
                       {"leads", e.leads},
                       {"to", rounded(e.to_x * width)},
                       {"box", rounded({left * width, y - 0.65 * unit, e.text_x * width + unit * label_em(label),
                                        y + 0.65 * unit})}});
  }
  const json numbers = {{"width", width}, {"height", height}, {"panels", panels}, {"entries", entries}};
  std::string out = svg;
  out.insert(
      out.rfind("</svg>"),
      "<metadata>" + escape_html(numbers.dump(-1, ' ', false, json::error_handler_t::replace)) + "</metadata>\n");
  return out;
}

}  // namespace entk::plot
