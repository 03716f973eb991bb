#include "entk/report/plot_legend.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>

namespace entk::plot {

namespace {

// Width of a character in Helvetica, roughly.
double char_em(char c) {
  if ((static_cast<unsigned char>(c) & 0xC0) == 0x80) return 0;  // the rest of a character
  if (std::string_view(" .,:;'|!ijlft()[]/-").find(c) != std::string_view::npos) return 0.31;
  if (std::string_view("mwMW%@").find(c) != std::string_view::npos) return 0.85;
  return c >= 'A' && c <= 'Z' ? 0.7 : 0.56;
}

constexpr double line_em = 1.35;   // height of a line of text
constexpr double sample_em = 1.8;  // a legend's piece of line
constexpr double gap_em = 0.5;     // between that and its text

double label_em(const Label& label) {
  double width = 0;
  bool small = false;  // after _ or ^
  for (std::size_t i = 0; i < label.text.size(); ++i) {
    const char c = label.text[i];
    if (label.rich && label.text.compare(i, 2, "{/") == 0) {
      i = std::min(label.text.find(' ', i), label.text.size());  // {/:Italic …
    } else if (label.rich && (c == '_' || c == '^')) {
      small = true;
    } else if (!label.rich || (c != '{' && c != '}' && c != '\\')) {
      width += char_em(c) * (small ? 0.8 : 1.0);
      small = false;
    }
  }
  return width;
}

std::vector<const Series*> legend_entries(const Panel& panel) {
  std::vector<const Series*> entries;
  for (const auto& series : panel.series) {
    if (!series.label.text.empty()) entries.push_back(&series);
  }
  return entries;
}

double widest_entry_em(const Panel& panel) {
  double widest = 0;
  for (const auto* series : legend_entries(panel)) widest = std::max(widest, label_em(series->label));
  return widest + sample_em + gap_em;
}

// How much of the data lies where a legend of this width and height (parts of the panel) would be.
int crowding(const Panel& panel, const Scale& x, const Scale& y, Legend corner, double width, double height) {
  const auto part = [](const Scale& scale, double v) {
    return scale.logarithmic ? std::log(v / scale.low) / std::log(scale.high / scale.low)
                             : (v - scale.low) / (scale.high - scale.low);
  };
  const bool left = corner == Legend::top_left || corner == Legend::bottom_left;
  const bool bottom = corner == Legend::bottom_left || corner == Legend::bottom_right;
  const auto inside = [&](double px, double py) {
    return (left ? px < width : px > 1 - width) && (bottom ? py < height : py > 1 - height);
  };
  int count = 0;
  for (const auto& series : panel.series) {
    for (const auto* values : {&series.y, &series.low, &series.high}) {
      for (std::size_t i = 0; i < values->size(); ++i) {
        if (!x.shows(series.x[i]) || !y.shows((*values)[i])) continue;
        const double px = part(x, series.x[i]), py = part(y, (*values)[i]);
        const bool joined =
            i > 0 && series.style != SeriesStyle::points && x.shows(series.x[i - 1]) && y.shows((*values)[i - 1]);
        const double qx = joined ? part(x, series.x[i - 1]) : px;
        const double qy = joined ? part(y, (*values)[i - 1]) : py;
        for (int step = 0; step < 16; ++step) {
          const double t = step / 16.0;
          count += inside(px + t * (qx - px), py + t * (qy - py));
        }
      }
    }
  }
  return count;
}

}  // namespace

bool has_entries(const Panel& panel) { return !legend_entries(panel).empty(); }

bool same_entries(const Panel& a, const Panel& b) {
  const auto first = legend_entries(a), second = legend_entries(b);
  if (first.size() != second.size()) return false;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const bool same = first[i]->label.text == second[i]->label.text && first[i]->label.rich == second[i]->label.rich &&
                      first[i]->style == second[i]->style &&
                      color_index(a, first[i] - a.series.data()) == color_index(b, second[i] - b.series.data());
    if (!same) return false;
  }
  return !first.empty();
}

std::pair<Legend, bool> free_corner(const Panel& panel, const Scale& x, const Scale& y, double frame_width,
                                    double frame_height) {
  const double rows = static_cast<double>(legend_entries(panel).size());
  const double width = (widest_entry_em(panel) + 1) * em / frame_width;
  const double height = (rows * line_em + 0.8) * em / frame_height;
  Legend best = Legend::top_right;
  int least = -1;
  for (const Legend corner : {Legend::top_right, Legend::top_left, Legend::bottom_left, Legend::bottom_right}) {
    const int count = crowding(panel, x, y, corner, width, height);
    if (least < 0 || count < least) best = corner, least = count;
  }
  return {best, least == 0 && width < 0.8 && height < 0.8};
}

int color_index(const Panel& panel, std::size_t series) {
  if (panel.series[series].color) return *panel.series[series].color;
  return static_cast<int>(std::count_if(panel.series.begin(),
                                        panel.series.begin() + static_cast<std::ptrdiff_t>(series),
                                        [](const Series& s) { return s.style != SeriesStyle::reference; }));
}

double place_strip(const Panel& panel, std::size_t p, double page, double top, std::vector<LegendEntry>& strip) {
  constexpr double between = 1.6 * em;
  const auto entries = legend_entries(panel);
  std::vector<double> widths;
  for (const auto* entry : entries) {
    widths.push_back(em * (sample_em + gap_em + label_em(entry->label)) + between);
  }
  const std::size_t count = entries.size();
  std::size_t columns = count;
  if (std::accumulate(widths.begin(), widths.end(), -between) > page) {
    const double widest = *std::max_element(widths.begin(), widths.end());
    const auto fit = static_cast<std::size_t>(std::max(1.0, (page + between) / widest));
    const std::size_t rows = (count + fit - 1) / fit;
    columns = (count + rows - 1) / rows;
    widths.assign(columns, widest);
  }
  const double left = (page - std::accumulate(widths.begin(), widths.end(), -between)) / 2;
  double x = left;
  for (std::size_t i = 0; i < count; ++i) {
    if (i % columns == 0) x = left;
    const std::size_t row = i / columns;
    strip.push_back({p, static_cast<std::size_t>(entries[i] - panel.series.data()), x / page,
                     (x + sample_em * em) / page, (x + (sample_em + gap_em) * em) / page,
                     top + em * line_em * (static_cast<double>(row) + 0.5)});
    x += widths[i % columns];
  }
  const std::size_t rows = (count + columns - 1) / columns;
  return top + em * line_em * static_cast<double>(rows);
}

}  // namespace entk::plot
