#include "entk/report/plot_layout.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "entk/base/error.h"

namespace entk::plot {

namespace {

constexpr double right_margin = 0.9 * em;

// Inches around the frames, the widest of each column and row.
struct Margins {
  std::vector<double> left, bottom, top;
};

Margins make_margins(const Figure& figure, const Layout& layout, std::size_t columns, std::size_t rows) {
  Margins margins{std::vector<double>(columns), std::vector<double>(rows), std::vector<double>(rows)};
  const auto widen = [](double& margin, double least) { margin = std::max(margin, least); };
  for (std::size_t p = 0; p < figure.panels.size(); ++p) {
    const Panel& panel = figure.panels[p];
    widen(margins.left[p % columns], y_label_distance(layout.y[p]) + em * (panel.y.label.text.empty() ? -0.5 : 0.95));
    widen(margins.bottom[p / columns], panel.x.label.text.empty() ? 1.8 * em : x_label_distance + 0.75 * em);
    widen(margins.top[p / columns], em * (panel.title.text.empty() ? 0.7 : 1.7));
  }
  return margins;
}

// One strip below if all panels agree or a single panel has no free corner. Returns its height.
double place_legends(const Figure& figure, double frame_width, double frame_height, Layout& layout) {
  const std::size_t count = figure.panels.size();
  const bool shared = count > 1 && std::all_of(figure.panels.begin(), figure.panels.end(), [&](auto& p) {
                        return p.legend == Legend::automatic && same_entries(figure.panels[0], p);
                      });
  double height = 0;
  for (std::size_t p = 0; p < count; ++p) {
    const Panel& panel = figure.panels[p];
    Legend legend = has_entries(panel) ? panel.legend : Legend::none;
    if (legend == Legend::automatic) {
      const auto [corner, empty] = free_corner(panel, layout.x[p], layout.y[p], frame_width, frame_height);
      legend = shared || (count == 1 && !empty) ? Legend::below : corner;
    }
    const bool placed = std::any_of(layout.strip.begin(), layout.strip.end(),
                                    [&](const auto& entry) { return same_entries(figure.panels[entry.panel], panel); });
    if (legend == Legend::below && !placed) {
      height = place_strip(panel, p, layout.width, height, layout.strip);
    }
    layout.legends.push_back(legend == Legend::below ? Legend::none : legend);
  }
  return layout.strip.empty() ? 0 : height + 0.4 * em;
}

}  // namespace

double y_label_distance(const Scale& scale) { return em * (1.6 + scale.label_em()); }

Layout make_layout(const Figure& figure) {
  const std::size_t count = figure.panels.size();
  const std::size_t columns = std::min<std::size_t>(figure.columns > 0 ? figure.columns : 3, count);
  const std::size_t rows = (count + columns - 1) / columns;
  Layout layout;
  layout.width = figure.width > 0 ? figure.width : columns == 1 ? 3.4 : 5.5;

  // Ticks depend on the frames' size and the margins on the ticks: ticks are made for a rough size.
  const double rough_width = 0.8 * layout.width / static_cast<double>(columns);
  const double rough_height = figure.height > 0 ? 0.6 * figure.height / static_cast<double>(rows) : 0.8 * rough_width;
  for (const Panel& panel : figure.panels) {
    layout.x.push_back(scale_x(panel, rough_width));
    layout.y.push_back(scale_y(panel, rough_height));
  }
  const Margins margins = make_margins(figure, layout, columns, rows);
  const double beside =
      std::accumulate(margins.left.begin(), margins.left.end(), static_cast<double>(columns) * right_margin);
  const double frame_width = (layout.width - beside) / static_cast<double>(columns);
  if (frame_width < 0.3) {
    throw InputError(fmt::format("figure: {} in. are too narrow for {} panels side by side", layout.width, columns));
  }
  double frame_height = std::clamp(0.78 * frame_width, 1.0, 2.6);
  const double strip_height = place_legends(figure, frame_width, frame_height, layout);
  const double title = figure.title.text.empty() ? 0 : title_height;
  double above_below = title + strip_height;
  for (std::size_t r = 0; r < rows; ++r) above_below += margins.bottom[r] + margins.top[r];
  if (figure.height > 0) {
    frame_height = std::max(0.3, (figure.height - above_below) / static_cast<double>(rows));
  }
  layout.height = above_below + static_cast<double>(rows) * frame_height;
  for (auto& entry : layout.strip) entry.y = (strip_height - entry.y) / layout.height;

  double y = layout.height - title;
  for (std::size_t r = 0; r < rows; ++r) {
    double x = 0;
    y -= margins.top[r];
    for (std::size_t c = 0; c < columns && r * columns + c < count; ++c) {
      x += margins.left[c];
      layout.boxes.push_back(
          {x / layout.width, (x + frame_width) / layout.width, (y - frame_height) / layout.height, y / layout.height});
      x += frame_width + right_margin;
    }
    y -= frame_height + margins.bottom[r];
  }
  return layout;
}

}  // namespace entk::plot
