#include "entk/report/plot_script.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "entk/report/plot_layout.h"
#include "entk/report/plot_text.h"

namespace entk::plot {

namespace {

bool has_band(const Series& series) { return !series.low.empty(); }

int color_count(const Figure& figure) {
  int count = 1;
  for (const auto& panel : figure.panels) {
    for (std::size_t s = 0; s < panel.series.size(); ++s) {
      const bool plain = panel.series[s].style == SeriesStyle::reference && !panel.series[s].color;
      if (!plain) count = std::max(count, color_index(panel, s) + 1);
    }
  }
  return count;
}

// Colours, widths and markers by place in the palette: linetypes 1, 2, …; the grey one is 100.
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
  return out + "set linetype 100 lc rgb '#666666'\n";
}

int linetype(const Panel& panel, std::size_t s) {
  const Series& series = panel.series[s];
  return series.style == SeriesStyle::reference && !series.color ? 100 : color_index(panel, s) + 1;
}

// For the plot and for its legend alike.
std::string style(const Panel& panel, std::size_t s) {
  const int type = linetype(panel, s);
  switch (panel.series[s].style) {
    case SeriesStyle::points:
      return fmt::format("with points lt {}", type);
    case SeriesStyle::line_points:
      return fmt::format("with linespoints lt {} lw 1.2", type);
    case SeriesStyle::reference:
      return fmt::format("with lines lt {} lw 1 dt (6,4)", type);
    case SeriesStyle::line:
      break;
  }
  return fmt::format("with lines lt {}", type);
}

// gnuplot's filledcurves draws nonsense around a point that is not finite, so each unbroken piece
// of the band is drawn for itself.
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
  const std::string place = name == 'x' ? " offset 0,lift[k]" : "";
  std::string out = scale.logarithmic ? fmt::format("  set logscale {}\n", name) : "";
  out += fmt::format("  set {}range [{}:{}]\n", name, number(scale.low), number(scale.high));
  if (!scale.logarithmic) {
    return out +
           fmt::format("  set format {0} '%h'; set {0}tics {1}{2}; unset m{0}tics\n", name, number(scale.step), place);
  }
  if (scale.step > 0) {
    // Unlabelled ticks: 2 … 9 times a power of ten, or the decades between two labels.
    const int minor = scale.step > 10 ? static_cast<int>(std::lround(std::log10(scale.step))) : 10;
    // With a start: without one gnuplot counts from the frame, writes the wrong power beside each tick, and
    // takes minutes where the step is 1e8 and more.
    const double start = std::pow(scale.step, std::ceil(std::log(scale.low) / std::log(scale.step)));
    return out + fmt::format("  set format {0} '10^{{%T}}'; set {0}tics {4},{1}{2}; set m{0}tics {3}\n", name,
                             number(scale.step), place, minor, number(start));
  }
  std::vector<std::string> ticks;
  for (const double tick : scale.ticks) {
    ticks.push_back(fmt::format("'{}' {}", tick_text(tick), number(tick)));
  }
  for (const double tick : scale.minor_ticks) ticks.push_back(fmt::format("'' {} 1", number(tick)));
  return out + fmt::format("  set {0}tics ({1}){2}; unset m{0}tics\n", name, fmt::join(ticks, ", "), place);
}

std::string legend_command(Legend legend) {
  switch (legend) {
    case Legend::top_left:
      return "  set key top left Left reverse\n";
    case Legend::top_right:
      return "  set key top right Right noreverse\n";
    case Legend::bottom_left:
      return "  set key bottom left Left reverse\n";
    case Legend::bottom_right:
      return "  set key bottom right Right noreverse\n";
    default:
      return "  unset key\n";
  }
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
                    box_command(layout.boxes[p]) + legend_command(layout.legends[p]) +
                    label_commands(panel, layout, p) + axis_commands('x', layout.x[p]) +
                    axis_commands('y', layout.y[p]);
  const bool clip = panel.y.logarithmic && std::any_of(panel.series.begin(), panel.series.end(), has_band);
  if (clip) out += fmt::format("  least = {}\n", number(layout.y[p].low));
  std::vector<std::string> clauses;
  for (std::size_t s = 0; s < panel.series.size(); ++s) {
    const Series& series = panel.series[s];
    if (!has_band(series)) continue;
    for (const auto& [first, last] : band_pieces(series, layout.x[p], layout.y[p])) {
      const bool whole = first == 0 && last + 1 == series.x.size();
      clauses.push_back(fmt::format("'{}.dat' index {}{} using {} with filledcurves lt {} notitle", name,
                                    first_index + s, whole ? "" : fmt::format(" every ::{}::{}", first, last),
                                    clip ? "1:(max($3, least)):4" : "1:3:4", linetype(panel, s)));
    }
  }
  for (std::size_t s = 0; s < panel.series.size(); ++s) {
    const Label& label = panel.series[s].label;
    clauses.push_back(fmt::format("'{}.dat' index {} using 1:2 {} {}", name, first_index + s, style(panel, s),
                                  label.text.empty() ? "notitle" : "title " + quoted(label)));
  }
  if (clauses.empty()) clauses.push_back("NaN notitle");
  return out + fmt::format("  plot {}\n", fmt::join(clauses, ", \\\n    "));
}

// What belongs to the whole page: its title, and the legend below. Drawn with the first panel.
std::string page_commands(const Figure& figure, const Layout& layout) {
  std::string out;
  if (!figure.title.text.empty()) {
    out += fmt::format("  set label {} at screen 0.5,{:.4f} center\n", quoted(figure.title),
                       1 - title_height / 2 / layout.height);
  }
  for (const LegendEntry& entry : layout.strip) {
    const Panel& panel = figure.panels[entry.panel];
    const Series& series = panel.series[entry.series];
    const int type = linetype(panel, entry.series);
    const bool marker = series.style == SeriesStyle::points || series.style == SeriesStyle::line_points;
    if (series.style != SeriesStyle::points) {
      const bool reference = series.style == SeriesStyle::reference;
      out += fmt::format("  set arrow from screen {0:.4f},{2:.4f} to screen {1:.4f},{2:.4f} nohead lt {3}{4}\n",
                         entry.sample_left, entry.sample_right, entry.y, type, reference ? " lw 1 dt (6,4)" : "");
    }
    if (marker) {
      out += fmt::format("  set label '' at screen {:.4f},{:.4f} point lt {}\n",
                         (entry.sample_left + entry.sample_right) / 2, entry.y, type);
    }
    out += fmt::format("  set label {} at screen {:.4f},{:.4f} left\n", quoted(series.label), entry.text_left, entry.y);
  }
  return out;
}

}  // namespace

std::string script_text(const std::string& name, const Figure& figure) {
  const Layout layout = make_layout(figure);
  constexpr double svg_dots = 96, png_dots = 192;
  std::string out = comment(fmt::format("gnuplot {0}.gp: makes {0}.svg, {0}.png, {0}.pdf from {0}.dat", name));
  if (!figure.caption.empty()) out += comment(figure.caption);
  out += fmt::format(
      "reset\nset encoding utf8\nset minussign\nmax(a, b) = a < b ? b : a\n"
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
      "# lines of text are half as high again in gnuplot's svg as in the others\n"
      "array spacing[3] = [0.8, 1.2, 1.2]\n"
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
      "  set key samplen 1.6 spacing spacing[k]\n"
      "  set clip two\n",
      name);
  const std::string page = page_commands(figure, layout);
  std::size_t index = 0;
  for (std::size_t p = 0; p < figure.panels.size(); ++p) {
    out +=
        fmt::format("\n  # panel {}\n", p + 1) + (p == 0 ? page : "") + panel_commands(name, figure, layout, p, index);
    out += "  unset label; unset arrow\n";
    index += figure.panels[p].series.size();
  }
  return out + "  unset multiplot\n}\nset output\n";
}

}  // namespace entk::plot
