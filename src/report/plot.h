// Line plots for papers: panels of series with bands, drawn by gnuplot as SVG, PNG and PDF, with
// the data and the script that made them kept beside.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "entk/report/palette.h"
#include "entk/report/statistics.h"

namespace entk {

/// Text in a figure, shown as it is unless made by rich_text.
struct Label {
  std::string text;   ///< plain, or markup
  bool rich = false;  ///< whether it is markup

  Label() = default;
  Label(const char* text) : text(text) {}             ///< plain text
  Label(std::string text) : text(std::move(text)) {}  ///< plain text
};

/// gnuplot's enhanced text: R_3, 10^{-3}, {/:Italic λ}, {/:Bold a}, \{ for a brace. A hair space
/// (U+200A) before ^ keeps an exponent clear of a slanted letter.
Label rich_text(std::string markup);

/// How a series is drawn.
enum class SeriesStyle {
  line,
  points,
  line_points,
  reference,  ///< thin, dashed and grey (or in its `color`): a bound, a guide, a fit
};

/// A point that is not finite, or not positive on a logarithmic axis, leaves a gap.
struct Series {
  Label label = {};  ///< empty: without a name. With a name and no data: a legend's line for what others share
  std::vector<double> x = {};             ///< points
  std::vector<double> y = {};             ///< as many
  std::vector<double> low = {};           ///< optional translucent band, as mean ± one standard deviation
  std::vector<double> high = {};          ///< its upper end
  SeriesStyle style = SeriesStyle::line;  ///< a line, points, or both
  /// Index into the palette. By default a name's own in the figure: one colour means one thing in all panels.
  std::optional<int> color = {};
  int dash = 0;  ///< pattern of a line, 0 to 3, 0 solid: a second factor beside the colour
};

/// One axis of a panel.
struct Axis {
  Label label = {};          ///< with its unit
  bool logarithmic = false;  ///< decades
};

/// Series in one frame.
struct Panel {
  Label title = {};                 ///< empty: none
  Axis x = {};                      ///< below
  Axis y = {};                      ///< on the left
  std::vector<Series> series = {};  ///< drawn in this order
};

/// Drawn 5.5 inches wide. Curves' names never stand in a panel: where one panel names all of them, at the ends of each
/// row's last curves if there are at most six, short ones, and else once below; where panels differ, at the right of
/// each. A curve under others is drawn wider than these.
struct Figure {
  std::string caption = {};                ///< kept as a comment in the data and the script
  std::vector<Panel> panels = {};          ///< row by row
  Palette palette = Palette::categorical;  ///< of the series
  int columns = 0;                         ///< panels a row, where that leaves them wide enough; 0: up to three
};

/// What write_figure left.
struct FigureFiles {
  std::filesystem::path data;    ///< name.dat
  std::filesystem::path script;  ///< name.gp
  std::filesystem::path svg;     ///< empty where gnuplot did not make it
  std::filesystem::path png;     ///< empty where gnuplot did not make it
  std::filesystem::path pdf;     ///< empty where gnuplot did not make it
  std::string notice;            ///< why not, empty if all went well
};

/// Writes name.dat and name.gp into the folder and runs gnuplot on them for name.svg, name.png (192
/// dots an inch) and name.pdf. `gnuplot name.gp` in that folder makes the three again. The same
/// figure gives the same bytes. Without gnuplot, or where it fails, data and script stay and the
/// notice says why; files of an earlier run stay as they were.
/// @throws InputError for a name with other characters than letters, digits, '-', '_' and '.', for
/// x, y, low and high of different lengths; SaveError if data or script cannot be written.
FigureFiles write_figure(const std::filesystem::path& folder, const std::string& name, const Figure& figure);

/// A dashed line y = exp(intercept) x^slope from x_low to x_high.
Series power_law_line(const PowerLaw& law, double x_low, double x_high, Label label = {});
/// The dashed line of this slope through (x, y), from x_low to x_high.
Series guide_line(double slope, double x, double y, double x_low, double x_high, Label label = {});

}  // namespace entk
