#include "entk/report/plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "entk/base/error.h"
#include "entk/base/philox.h"
#include "entk/report/plot_script.h"
#include "entk/report/process.h"
#include "tests/support/testing.h"

namespace entk::plot_test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::read_text;
using testing::TemporaryFolder;
using testing::write_text;

#define ENTK_NEEDS_GNUPLOT() \
  if (!run_program({"gnuplot", "--version"}, "/", 60s).found) GTEST_SKIP() << "gnuplot is not on PATH"

/// The search path of programs, for one scope.
class SearchPath {
 public:
  explicit SearchPath(const fs::path& path) : before_(std::getenv("PATH")) { ::setenv("PATH", path.c_str(), 1); }
  ~SearchPath() { ::setenv("PATH", before_.c_str(), 1); }

 private:
  std::string before_;
};

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// What an SVG says, without markup and with plain spaces.
std::string svg_words(const std::string& svg) {
  std::string words;
  bool in_tag = false;
  for (const char c : svg) {
    if (c == '<') in_tag = true;
    if (!in_tag) words += c;
    if (c == '>') in_tag = false;
  }
  for (auto [from, to] : {std::pair{"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}, {"\u00A0", " "}}) {
    for (auto at = words.find(from); at != std::string::npos; at = words.find(from, at + 1)) {
      words.replace(at, std::strlen(from), to);
    }
  }
  return words;
}

Figure three_panels() {
  Figure figure;
  figure.caption = "Mean and one standard deviation";
  figure.palette = Palette::sequential;
  for (int p = 0; p < 3; ++p) {
    Panel panel{.title = "panel", .x = {.label = rich_text("log_{/:Italic d}(step)")}};
    panel.y.logarithmic = p == 1;
    for (int s = 0; s < 4; ++s) {
      Series series{.label = "series " + std::to_string(s)};
      for (int i = 0; i < 20; ++i) {
        const double y = std::exp(-0.1 * i * s) + 0.01;
        series.x.push_back(0.1 * i);
        series.y.push_back(y);
        series.low.push_back(y - 0.1);
        series.high.push_back(y + 0.1);
      }
      panel.series.push_back(series);
    }
    figure.panels.push_back(panel);
  }
  return figure;
}

Figure one_series(Series series, bool logarithmic = false) {
  Panel panel;
  panel.y.logarithmic = logarithmic;
  panel.series.push_back(std::move(series));
  return {.panels = {panel}};
}

TEST(Figure, ThreeFilesAreMadeAndWhole) {
  ENTK_NEEDS_GNUPLOT();
  const TemporaryFolder folder;
  const FigureFiles files = write_figure(folder.path(), "fig", three_panels());
  EXPECT_EQ(files.notice, "");
  EXPECT_EQ(read_text(files.svg).substr(0, 5), "<?xml");
  EXPECT_EQ(read_text(files.png).substr(0, 8), "\x89PNG\r\n\x1a\n");
  EXPECT_EQ(read_text(files.pdf).substr(0, 5), "%PDF-");
  EXPECT_GT(fs::file_size(files.png), 10000u);
  // Nothing else is left in the folder.
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 5);
}

TEST(Figure, TheSameFigureGivesTheSameBytes) {
  ENTK_NEEDS_GNUPLOT();
  const TemporaryFolder first, second;
  write_figure(first.path(), "fig", three_panels());
  ::sleep(1);  // a time of day in a file would show
  write_figure(second.path(), "fig", three_panels());
  for (const char* name : {"fig.dat", "fig.gp", "fig.svg", "fig.png", "fig.pdf"}) {
    EXPECT_TRUE(read_text(first / name) == read_text(second / name)) << name;
  }
}

TEST(Figure, TheScriptRunByHandMakesThemAgain) {
  ENTK_NEEDS_GNUPLOT();
  const TemporaryFolder folder;
  const FigureFiles files = write_figure(folder.path(), "fig", three_panels());
  const std::string svg = read_text(files.svg);
  for (const auto& path : {files.svg, files.png, files.pdf}) fs::remove(path);
  const auto run = run_program({"gnuplot", "-d", "fig.gp"}, folder.path(), 60s);
  EXPECT_EQ(run.status, 0) << run.output;
  EXPECT_EQ(run.output, "");
  EXPECT_TRUE(read_text(files.svg) == svg);
  EXPECT_TRUE(fs::exists(files.png) && fs::exists(files.pdf));
}

TEST(Figure, HostileTextIsShownAsItIs) {
  ENTK_NEEDS_GNUPLOT();
  const std::vector<std::string> hostile = {"{a_b^c@d&e~f\\g}",
                                            "it's \"quoted\"",
                                            "`touch pwned`",
                                            "$(touch pwned) @macro",
                                            "}}}",
                                            "{{{",
                                            "\\",
                                            "'",
                                            "a\\nb %s %d %",
                                            "# not a comment",
                                            "; system('touch pwned')",
                                            "<b>&amp;</b>",
                                            "\\U+03BB",
                                            "λ — 日本",
                                            "''; quit",
                                            "a'''b''"};
  Panel panel{.title = hostile[0], .x = {.label = hostile[1]}, .y = {.label = hostile[2]}};
  for (const auto& text : hostile) {
    panel.series.push_back({.label = text, .x = {1, 2}, .y = {1, 2}});
  }
  panel.series.push_back({.label = "line\nbreak \xff", .x = {1, 2}, .y = {1, 2}});
  for (const Legend legend : {Legend::top_left, Legend::below}) {
    panel.legend = legend;
    Figure figure{.title = hostile[5], .caption = "ends with \\", .panels = {panel}, .height = 6};
    const TemporaryFolder folder;
    const FigureFiles files = write_figure(folder.path(), "fig", figure);
    ASSERT_EQ(files.notice, "");
    const std::string words = svg_words(read_text(files.svg));
    for (const auto& text : hostile) EXPECT_NE(words.find(text), std::string::npos) << text;
    EXPECT_NE(words.find("line break \uFFFD"), std::string::npos);
    EXPECT_FALSE(fs::exists(folder / "pwned"));
  }
}

TEST(Figure, RandomTextOfSpecialCharactersIsShownAsItIs) {
  ENTK_NEEDS_GNUPLOT();
  const std::string alphabet = "\\{}_^@&~'\"`%#$;:!*[]()<>/ab1 ,.=-+|?";
  const RandomStream random(Purpose::probe, 7);
  Panel panel{.legend = Legend::below};
  std::vector<std::string> labels;
  for (int i = 0; i < 200; ++i) {
    std::string text = fmt::format("<{}|", i);
    for (int j = 0; j < 8; ++j) text += alphabet[random.below(8 * i + j, alphabet.size())];
    labels.push_back(text + "|");
    panel.series.push_back({.label = labels.back(), .x = {1, 2}, .y = {1, 2}});
  }
  const TemporaryFolder folder;
  const FigureFiles files = write_figure(folder.path(), "fig", {.panels = {panel}, .height = 40});
  ASSERT_EQ(files.notice, "");
  const std::string words = svg_words(read_text(files.svg));
  for (const auto& text : labels) EXPECT_NE(words.find(text), std::string::npos) << text;
}

TEST(Figure, UnbalancedMarkupStillDraws) {
  ENTK_NEEDS_GNUPLOT();
  const TemporaryFolder folder;
  Figure figure = one_series({.label = rich_text("{/:Italic λ}}_{3"), .x = {1, 2}, .y = {1, 2}});
  EXPECT_EQ(write_figure(folder.path(), "fig", figure).notice, "");
}

TEST(Figure, OddDataStillDraws) {
  ENTK_NEEDS_GNUPLOT();
  const TemporaryFolder folder;
  std::vector<Series> odd = {
      {},
      {.label = "nan", .x = {1, 2}, .y = {NAN, NAN}},
      {.label = "inf", .x = {1, INFINITY, 3}, .y = {INFINITY, 1, -INFINITY}},
      {.label = "one", .x = {1}, .y = {1}},
      {.label = "negative", .x = {-1, -2}, .y = {-1, -2}},
      {.label = "tiny", .x = {5e-324, 1e-300}, .y = {1e-310, 1e308}},
      {.label = "band", .x = {1, 2, 3}, .y = {1, 2, 3}, .low = {NAN, -1, 0}, .high = {1, 3, INFINITY}}};
  for (const bool logarithmic : {false, true}) {
    for (std::size_t i = 0; i < odd.size(); ++i) {
      Figure figure = one_series(odd[i], logarithmic);
      figure.panels[0].x.logarithmic = logarithmic;
      const FigureFiles files = write_figure(folder.path(), "fig", figure);
      EXPECT_EQ(files.notice, "") << i << " " << logarithmic;
    }
  }
  Figure empty{.panels = {Panel{}, Panel{}}};
  EXPECT_EQ(write_figure(folder.path(), "fig", empty).notice, "");
}

TEST(Figure, DataHoldsEveryValueAsGiven) {
  const Figure figure =
      one_series({.label = "s", .x = {0.1, 2}, .y = {1.0 / 3.0, NAN}, .low = {-INFINITY, 1}, .high = {1, 2}}, true);
  EXPECT_EQ(plot::data_text("fig", figure),
            "# fig\n# index 0: panel 1 (), s\n# x ()  y ()  low  high\n"
            "0.1 0.3333333333333333 -inf 1\n2 nan 1 2\n");
}

TEST(Figure, DecadesAreMarkedAtPowersOfTen) {
  // gnuplot counts its ticks from the frame where they have no start, and writes the wrong power beside them.
  for (const auto& [low, high] :
       {std::pair{552.0, 64000.0}, std::pair{0.03, 7.0}, std::pair{3e-9, 0.7}, std::pair{1e-34, 1e35}}) {
    const std::string script =
        plot::script_text("fig", one_series({.label = "s", .x = {0, 1}, .y = {low, high}}, true));
    double frame = 0, start = 0, step = 0;
    ASSERT_EQ(std::sscanf(script.c_str() + script.find("set yrange"), "set yrange [%lf:", &frame), 1);
    ASSERT_EQ(std::sscanf(script.c_str() + script.find("set ytics "), "set ytics %lf,%lf", &start, &step), 2) << script;
    EXPECT_NEAR(std::log10(start), std::round(std::log10(start)), 1e-9);
    EXPECT_GE(start, frame);
    EXPECT_LT(start, frame * step * (1 + 1e-9));
  }
}

TEST(Figure, ABandIsDrawnInPiecesAroundAGap) {
  const Figure figure = one_series({.label = "s",
                                    .x = {0, 1, 2, 3, 4, 5},
                                    .y = {1, 1, 1, 1, 1, 1},
                                    .low = {0, 0, NAN, 0, 0, 0},
                                    .high = {2, 2, 2, 2, 2, INFINITY}});
  const std::string script = plot::script_text("fig", figure);
  EXPECT_EQ(count(script, "with filledcurves"), 2);
  EXPECT_NE(script.find("every ::0::1 using 1:3:4"), std::string::npos);
  EXPECT_NE(script.find("every ::3::4 using 1:3:4"), std::string::npos);
}

TEST(Figure, ABandBelowZeroEndsAtTheFrameOfALogarithmicAxis) {
  const Figure figure =
      one_series({.label = "s", .x = {0, 1}, .y = {0.1, 1}, .low = {-1, 0.5}, .high = {0.5, 2}}, true);
  const std::string script = plot::script_text("fig", figure);
  EXPECT_NE(script.find("using 1:(max($3, least)):4"), std::string::npos);
  const double least = std::stod(script.substr(script.find("least = ") + 8));
  EXPECT_GT(least, 0.0);
  EXPECT_NE(script.find(fmt::format("set yrange [{}:", least)), std::string::npos);
}

TEST(Figure, OneLegendServesAllPanelsThatAgree) {
  Figure figure = three_panels();
  const std::string shared = plot::script_text("fig", figure);
  EXPECT_EQ(count(shared, "set label 'series\u00A02'"), 1);
  EXPECT_EQ(count(shared, "unset key"), 3);
  figure.panels[2].series[0].label = "another";
  const std::string apart = plot::script_text("fig", figure);
  EXPECT_EQ(count(apart, "set label 'series\u00A02'"), 0);
  EXPECT_EQ(count(apart, "unset key"), 0);
}

TEST(Figure, ALegendKeepsClearOfTheData) {
  // Up at the left, then level along the top: the lower right alone is free.
  Series series{.label = "s"};
  for (int i = 0; i <= 40; ++i) {
    series.x.push_back(i);
    series.y.push_back(i == 0 ? 0 : 40);
  }
  EXPECT_NE(plot::script_text("fig", one_series(series)).find("set key bottom right"), std::string::npos);
}

TEST(Figure, WithoutGnuplotDataAndScriptStay) {
  const TemporaryFolder folder, empty;
  const SearchPath path(empty.path());
  const FigureFiles files = write_figure(folder.path(), "fig", three_panels());
  EXPECT_NE(files.notice.find("gnuplot is not on PATH"), std::string::npos) << files.notice;
  EXPECT_TRUE(files.svg.empty() && files.png.empty() && files.pdf.empty());
  EXPECT_EQ(read_text(files.data), plot::data_text("fig", three_panels()));
  EXPECT_EQ(read_text(files.script), plot::script_text("fig", three_panels()));
}

/// A program called gnuplot that does what a failing one might.
FigureFiles with_gnuplot_that(const std::string& commands, const fs::path& folder) {
  const TemporaryFolder programs;
  write_text(programs / "gnuplot", "#!/bin/sh\n" + commands + "\n");
  fs::permissions(programs / "gnuplot", fs::perms::owner_all);
  const SearchPath path(programs.path());
  return write_figure(folder, "fig", three_panels());
}

TEST(Figure, WhatGnuplotSaysIsInTheNotice) {
  const TemporaryFolder folder;
  const FigureFiles files = with_gnuplot_that("echo no such terminal >&2; exit 3", folder.path());
  EXPECT_NE(files.notice.find("status 3: no such terminal"), std::string::npos) << files.notice;
  EXPECT_TRUE(fs::exists(files.data) && fs::exists(files.script));
}

TEST(Figure, AnUnknownGNUTERMCostsNoPlot) {
  ENTK_NEEDS_GNUPLOT();
  const TemporaryFolder folder;
  ::setenv("GNUTERM", "no such terminal", 1);
  const FigureFiles files = write_figure(folder.path(), "fig", three_panels());
  ::unsetenv("GNUTERM");
  EXPECT_EQ(files.notice, "");
  EXPECT_TRUE(fs::exists(files.svg) && fs::exists(files.png) && fs::exists(files.pdf));
}

TEST(Figure, HalfAFileIsNotTakenForAFigure) {
  const TemporaryFolder folder;
  write_text(folder / "fig.svg", "an earlier figure");
  const FigureFiles files = with_gnuplot_that("echo '<svg' > fig.svg", folder.path());
  EXPECT_NE(files.notice.find("no whole fig.svg"), std::string::npos) << files.notice;
  EXPECT_TRUE(files.svg.empty());
  EXPECT_EQ(read_text(folder / "fig.svg"), "an earlier figure");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 3);
}

TEST(Figure, AFolderThatIsNotThereIsASaveError) {
  EXPECT_THROW(write_figure("/nonexistent/folder", "fig", three_panels()), SaveError);
}

TEST(Figure, BadInputIsNamed) {
  const TemporaryFolder folder;
  for (const char* name : {"", "../fig", "a b", ".fig", "-fig", "fig'"}) {
    EXPECT_THROW(write_figure(folder.path(), name, three_panels()), InputError) << name;
  }
  EXPECT_THROW(write_figure(folder.path(), "fig", {}), InputError);
  EXPECT_THROW(write_figure(folder.path(), "fig", one_series({.x = {1, 2}, .y = {1}})), InputError);
  EXPECT_THROW(write_figure(folder.path(), "fig", one_series({.x = {1}, .y = {1}, .low = {1}})), InputError);
  EXPECT_THROW(write_figure(folder.path(), "fig", one_series({.x = {1}, .y = {1}, .color = -1})), InputError);
  Figure figure = three_panels();
  figure.width = NAN;
  EXPECT_THROW(write_figure(folder.path(), "fig", figure), InputError);
  figure.width = 1.0;
  EXPECT_THROW(write_figure(folder.path(), "fig", figure), InputError);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Figure, GuideLinesAreOnTheirLaw) {
  const Series line = power_law_line({2.0, std::log(6.0)}, 10, 100, "fit");
  EXPECT_EQ(line.style, SeriesStyle::reference);
  EXPECT_NEAR(line.y[0], 600, 1e-9);
  EXPECT_NEAR(line.y[1], 60000, 1e-7);
  const Series guide = guide_line(3.0, 10, 5, 20, 40);
  EXPECT_NEAR(guide.y[0], 40, 1e-11);
  EXPECT_NEAR(guide.y[1], 320, 1e-10);
}

TEST(Palette, SequentialColoursGrowLighterInEvenSteps) {
  const auto colors = palette_colors(Palette::sequential, 6);
  double before = 0, least = 1, most = 0;
  for (std::size_t i = 0; i < colors.size(); ++i) {
    // CIE lightness from relative luminance.
    const auto part = [&](int at) {
      const double v = std::stoi(colors[i].substr(at, 2), nullptr, 16) / 255.0;
      return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
    };
    const double luminance = 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
    const double lightness = 1.16 * std::cbrt(luminance) - 0.16;
    if (i > 0) {
      least = std::min(least, lightness - before);
      most = std::max(most, lightness - before);
    }
    before = lightness;
  }
  EXPECT_GT(least, 0.06);
  EXPECT_LT(most, 2 * least);
}

TEST(Palette, CategoricalColoursDifferUpToSeven) {
  const auto colors = palette_colors(Palette::categorical, 8);
  EXPECT_EQ(std::set<std::string>(colors.begin(), colors.end()).size(), 7u);
}

}  // namespace
}  // namespace entk::plot_test
