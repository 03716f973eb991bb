#include "entk/report/plot_script.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "entk/io/text.h"
#include "entk/report/plot_layout.h"
#include "entk/report/plot_text.h"

namespace entk::plot {

namespace {

using entk::shortest;

constexpr int grey = 100, plain = 101;  // linetypes beside those of the palette
constexpr const char *grey_color = "#666666", *plain_color = "#333333";

bool has_band(const Series& series) { return !series.low.empty(); }

int color_count(const Figure& figure) {
  int count = 1;
  for (std::size_t p = 0; p < figure.panels.size(); ++p) {
    for (std::size_t s = 0; s < figure.panels[p].series.size(); ++s)
      count = std::max(count, color_index(figure, p, s) + 1);
  }
  return count;
}

// Colours, widths and markers by place in the palette: linetypes 1, 2, …
std::string linetype_commands(const Figure& figure) {
  static constexpr int markers[] = {7, 5, 13, 6, 4, 12};  // disc, square, diamond; then open
  static constexpr double sizes[] = {0.42, 0.38, 0.47, 0.42, 0.38, 0.47};
  const auto colors = palette_colors(figure.palette, color_count(figure));
  std::string out;
  for (std::size_t i = 0; i < colors.size(); ++i) {
    out +=
        fmt::format("set linetype {} lc rgb '{}' lw 1.4 pt {} ps {}", i + 1, colors[i], markers[i % 6], sizes[i % 6]);
    // A second round of the seven colours is told apart by its dashes.
    if (figure.palette == Palette::categorical && i >= 7) out += i < 14 ? " dt (5,3)" : " dt (1,2)";
    out += "\n";
  }
  return out + fmt::format("set linetype {} lc rgb '{}'\nset linetype {} lc rgb '{}' lw 1.4\n", grey, grey_color, plain,
                           plain_color);
}

int linetype(const Figure& figure, std::size_t p, std::size_t s) {
  const int index = color_index(figure, p, s);
  return index == -1 ? grey : index < 0 ? plain : index + 1;
}

// How many curves that are drawn later hide this one: it is drawn that much wider, so that it shows on both sides of
// them.
int covered(const Panel& panel, std::size_t s, const Scale& y) {
  const Series& own = panel.series[s];
  int count = 0;
  for (std::size_t t = s + 1; t < panel.series.size(); ++t) {
    const Series& other = panel.series[t];
    if (other.style == SeriesStyle::points || other.x != own.x) continue;
    std::size_t shown = 0, near = 0;
    for (std::size_t i = 0; i < own.x.size(); ++i) {
      if (!y.shows(own.y[i]) || !y.shows(other.y[i])) continue;
      ++shown;
      near += std::fabs(y.part(own.y[i]) - y.part(other.y[i])) < 0.012;
    }
    count += shown > 1 && 20 * near >= 17 * shown;
  }
  return count;
}

// Colour, width and dashes, for the plot and for its legend alike.
std::string line_style(const Figure& figure, const Layout& layout, std::size_t p, std::size_t s) {
  const Pen pen = pen_of(figure, layout, p, s);
  return fmt::format("lt {} lw {:.2g}{}", linetype(figure, p, s), pen.width,
                     pen.dash.empty() ? "" : " dt (" + pen.dash + ")");
}

bool has_line(const Series& s) { return s.style != SeriesStyle::points; }
bool has_markers(const Series& s) { return s.style == SeriesStyle::points || s.style == SeriesStyle::line_points; }

// gnuplot's filledcurves draws nonsense around a point that is not finite, so each unbroken piece
// of the band is drawn on its own.
std::vector<std::pair<std::size_t, std::size_t>> band_pieces(const Series& series, const Scale& x, const Scale& y) {
  std::vector<std::pair<std::size_t, std::size_t>> pieces;
  for (std::size_t first = 0; first < series.x.size();) {
    std::size_t end = first;
    while (end < series.x.size() && x.shows(series.x[end]) && std::isfinite(series.low[end]) &&
           y.shows(series.high[end])) {
      ++end;
    }
    if (end - first > 1) pieces.emplace_back(first, end - 1);
    first = std::max(end, first + 1);
  }
  return pieces;
}

std::string axis_commands(char name, const Scale& scale) {
  std::string out = scale.logarithmic ? fmt::format("  set logscale {}\n", name) : "";
  std::vector<std::string> ticks;
  for (const auto& tick : scale.ticks) {
    ticks.push_back(fmt::format("'{}' {}{}", tick.text, shortest(tick.at), tick.text.empty() ? " 1" : ""));
  }
  return out + fmt::format("  set {0}range [{1}:{2}]\n  set {0}tics ({3}){4}\n", name, shortest(scale.low),
                           shortest(scale.high), fmt::join(ticks, ", "), name == 'x' ? " offset 0,lift[k]" : "");
}

std::string box_command(const Box& box) {
  return fmt::format(
      "  set lmargin at screen {:.4f}; set rmargin at screen {:.4f}\n"
      "  set bmargin at screen {:.4f}; set tmargin at screen {:.4f}\n",
      box.left, box.right, box.bottom, box.top);
}

// Titles and axis labels at places of their own: gnuplot's depend on the terminal.
std::string label_commands(const Panel& panel, const Layout& layout, std::size_t p) {
  const Box& box = layout.boxes[p];
  const double center_x = (box.left + box.right) / 2, center_y = (box.bottom + box.top) / 2;
  const auto label = [](const Label& text, double x, double y, const char* turn) {
    if (text.text.empty()) return std::string();
    return fmt::format("  set label {} at screen {:.4f},{:.4f} center{}\n", quoted(text), x, y, turn);
  };
  return label(panel.title, center_x, box.top + title_distance / layout.height, "") +
         label(panel.x.label, center_x, box.bottom - x_label_distance / layout.height, "") +
         label(panel.y.label, box.left - y_label_distance(layout.y[p]) / layout.width, center_y, " rotate by 90");
}

std::string panel_commands(const std::string& name, const Figure& figure, const Layout& layout, std::size_t p,
                           std::size_t first_index) {
  const Panel& panel = figure.panels[p];
  std::string out = "  set autoscale; unset logscale; set tics out nomirror scale 0.4,0.2\n" +
                    box_command(layout.boxes[p]) + label_commands(panel, layout, p) + axis_commands('x', layout.x[p]) +
                    axis_commands('y', layout.y[p]);
  const bool clip = panel.y.logarithmic && std::any_of(panel.series.begin(), panel.series.end(), has_band);
  if (clip) out += fmt::format("  least = {}\n", shortest(layout.y[p].low));
  std::vector<std::string> clauses;
  for (std::size_t s = 0; s < panel.series.size(); ++s) {
    const Series& series = panel.series[s];
    if (!has_band(series)) continue;
    for (const auto& [first, last] : band_pieces(series, layout.x[p], layout.y[p])) {
      const bool whole = first == 0 && last + 1 == series.x.size();
      clauses.push_back(fmt::format("'{}.dat' index {}{} using {} with filledcurves lt {}", name, first_index + s,
                                    whole ? "" : fmt::format(" every ::{}::{}", first, last),
                                    clip ? "1:(max($3, least)):4" : "1:3:4", linetype(figure, p, s)));
    }
  }
  for (std::size_t s = 0; s < panel.series.size(); ++s) {
    const Series& series = panel.series[s];
    const char* with = !has_line(series) ? "points" : has_markers(series) ? "linespoints" : "lines";
    clauses.push_back(fmt::format(
        "'{}.dat' index {} using 1:2 with {} {}", name, first_index + s, with,
        has_line(series) ? line_style(figure, layout, p, s) : fmt::format("lt {}", linetype(figure, p, s))));
  }
  if (clauses.empty()) clauses.push_back("NaN");
  return out + fmt::format("  plot {}\n", fmt::join(clauses, ", \\\n    "));
}

// The names of the curves. Drawn with the first panel.
std::string entry_commands(const Figure& figure, const Layout& layout) {
  std::string out;
  for (const Entry& e : layout.entries) {
    const Series& series = figure.panels[e.panel].series[e.series];
    const int type = linetype(figure, e.panel, e.series);
    if (e.leads || has_line(series)) {
      out += fmt::format(
          "  set arrow from screen {:.4f},{:.4f} to screen {:.4f},{:.4f} nohead {}\n", e.from_x, e.from_y, e.to_x, e.y,
          e.leads ? fmt::format("lt {} lw 0.8 dt 1", type) : line_style(figure, layout, e.panel, e.series));
    }
    if (!e.leads && has_markers(series)) {
      out += fmt::format("  set label '' at screen {:.4f},{:.4f} point lt {}\n", (e.from_x + e.to_x) / 2, e.y, type);
    }
    out += fmt::format("  set label {} at screen {:.4f},{:.4f} left\n", quoted(series.label), e.text_x, e.y);
  }
  return out;
}

}  // namespace

std::string data_text(const std::string& name, const Figure& figure) {
  std::string out = comment(name);
  if (!figure.caption.empty()) out += comment(figure.caption);
  std::size_t index = 0;
  for (std::size_t p = 0; p < figure.panels.size(); ++p) {
    const Panel& panel = figure.panels[p];
    for (const Series& series : panel.series) {
      if (index > 0) out += "\n\n";
      out += comment(fmt::format("index {}: panel {} ({}), {}", index, p + 1, panel.title.text, series.label.text));
      ++index;
      const bool band = has_band(series);
      out +=
          comment(fmt::format("x ({})  y ({}){}", panel.x.label.text, panel.y.label.text, band ? "  low  high" : ""));
      for (std::size_t i = 0; i < series.x.size(); ++i) {
        out += fmt::format("{} {}", shortest(series.x[i]), shortest(series.y[i]));
        if (band) out += fmt::format(" {} {}", shortest(series.low[i]), shortest(series.high[i]));
        out += "\n";
      }
      if (series.x.empty()) out += "nan nan\n";  // gnuplot would not count an empty index
    }
  }
  return out;
}

Pen pen_of(const Figure& figure, const Layout& layout, std::size_t p, std::size_t s) {
  static constexpr const char* dashes[] = {"", "6,3", "2,2", "8,2,2,2"};
  const Series& series = figure.panels[p].series[s];
  const int index = color_index(figure, p, s);
  Pen pen{index == -1 ? grey_color
          : index < 0 ? plain_color
                      : palette_colors(figure.palette, color_count(figure))[index],
          1, "6,4"};
  if (series.style == SeriesStyle::reference) return pen;
  pen.width = (series.style == SeriesStyle::line_points ? 1.2 : 1.4) + 1.3 * covered(figure.panels[p], s, layout.y[p]);
  pen.dash = dashes[static_cast<std::size_t>(series.dash) % std::size(dashes)];
  return pen;
}

std::string script_text(const std::string& name, const Figure& figure) {
  const Layout layout = make_layout(figure);
  constexpr double svg_dots = 96, png_dots = 192;
  std::string out = comment(fmt::format("gnuplot {0}.gp: makes {0}.svg, {0}.png, {0}.pdf from {0}.dat", name));
  if (!figure.caption.empty()) out += comment(figure.caption);
  out += fmt::format(
      "reset\nset encoding utf8\nmax(a, b) = a < b ? b : a\n"
      "array terminal[3] = [ \\\n"
      "  \"set terminal svg size {},{} font 'sans-serif,{:.3f}' enhanced background '#ffffff' "
      "rounded\", \\\n"
      "  \"set terminal pngcairo size {},{} font 'Helvetica,{}' enhanced background '#ffffff' "
      "rounded "
      "fontscale 2 linewidth 2 dashlength 2 pointscale 2\", \\\n"
      "  \"set terminal pdfcairo size {:.4f}in,{:.4f}in font 'Helvetica,{}' enhanced background "
      "'#ffffff' rounded fontscale 0.75 linewidth 1.33 dashlength 1.4 "
      "pointscale 0.75\" ]\n"
      "array extension[3] = ['svg', 'png', 'pdf']\n"
      "array lift[3] = [0.5, 0.2, 0.2]\n",
      std::lround(layout.width * svg_dots), std::lround(layout.height * svg_dots), font_points * svg_dots / 72,
      std::lround(layout.width * png_dots), std::lround(layout.height * png_dots), font_points, layout.width,
      layout.height, font_points);
  out += linetype_commands(figure);
  out += fmt::format(
      "set style fill transparent solid 0.18 noborder\n\n"
      "do for [k = 1:3] {{\n"
      "  eval terminal[k]\n"
      "  set output '{}.'.extension[k]\n"
      "  set multiplot\n"
      "  set border 3 lw 0.6 lc rgb '#333333'\n"
      "  set grid xtics ytics back lt 1 lw 0.4 lc rgb '#dddddd'\n"
      "  unset key\n"
      "  set clip two\n",
      name);
  const std::string entries = entry_commands(figure, layout);
  std::size_t index = 0;
  for (std::size_t p = 0; p < figure.panels.size(); ++p) {
    out += fmt::format("\n  # panel {}\n", p + 1) + (p == 0 ? entries : "") +
           panel_commands(name, figure, layout, p, index);
    out += "  unset label; unset arrow\n";
    index += figure.panels[p].series.size();
  }
  return out + "  unset multiplot\n}\nset output\n";
}

}  // namespace entk::plot
