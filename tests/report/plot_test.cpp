#include "entk/report/plot.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <set>

#include "entk/base/error.h"
#include "entk/base/philox.h"
#include "entk/report/plot_layout.h"
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
  const std::string again = read_text(files.svg);  // without the numbers that a page reads
  EXPECT_TRUE(svg.starts_with(again.substr(0, again.find("</svg>"))));
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
  {
    Figure figure{.caption = "ends with \\", .panels = {panel}};
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
  Panel panel;
  std::vector<std::string> labels;
  for (int i = 0; i < 200; ++i) {
    std::string text = fmt::format("<{}|", i);
    for (int j = 0; j < 8; ++j) text += alphabet[random.below(8 * i + j, alphabet.size())];
    labels.push_back(text + "|");
    panel.series.push_back({.label = labels.back(), .x = {1, 2}, .y = {1, 2}});
  }
  const TemporaryFolder folder;
  const FigureFiles files = write_figure(folder.path(), "fig", {.panels = {panel}});
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
  EXPECT_EQ(count(plot::script_text("fig", figure), "set label 'series\u00A02'"), 1);  // at the last panel's curves
  figure.panels[1].series.pop_back();  // no panel names more than others
  EXPECT_EQ(count(plot::script_text("fig", figure), "set label 'series\u00A02'"), 1);
  figure.panels[2].series[0].label = "another";
  EXPECT_EQ(count(plot::script_text("fig", figure), "set label 'series\u00A02'"), 3);
}

TEST(Figure, OneNameHasOneColourInAllPanels) {
  Panel one{.series = {{.label = "a", .x = {1, 2}, .y = {1, 2}}, {.label = "b", .x = {1, 2}, .y = {2, 3}}}};
  Panel other{.series = {{.label = "c", .x = {1, 2}, .y = {1, 2}}, {.label = "b", .x = {1, 2}, .y = {2, 3}}}};
  const Figure figure{.panels = {one, other}};
  const auto color = [&](int p, int s) { return plot::color_index(figure, p, s); };
  EXPECT_EQ(color(0, 1), color(1, 1));
  EXPECT_EQ((std::set{color(0, 0), color(0, 1), color(1, 0)}).size(), 3u);
}

/// What cannot be read in the figures as they are drawn, in the words of svg_geometry.py.
std::string complaints(const std::vector<Figure>& figures) {
  const TemporaryFolder folder;
  std::vector<std::string> check = {ENTK_PYTHON, ENTK_SOURCE_DIR "/tests/support/svg_geometry.py"};
  for (const Figure& figure : figures) {
    const std::string name = "fig" + std::to_string(check.size());
    std::string script = plot::script_text(name, figure);
    const std::string all = "[k = 1:3]";
    script.replace(script.find(all), all.size(), "[k = 1:1]");  // the SVG alone
    write_text(folder / (name + ".dat"), plot::data_text(name, figure));
    write_text(folder / (name + ".gp"), script);
    EXPECT_EQ(run_program({"gnuplot", "-d", name + ".gp"}, folder.path(), 60s).output, "");
    check.push_back(name + ".svg");
  }
  return run_program(check, folder.path(), 60s).output;
}

TEST(Figure, NamesStandClearOfAllThatIsDrawnHoweverManyAndLongTheyAre) {
  ENTK_NEEDS_GNUPLOT();
  std::vector<Figure> figures;
  for (const auto& [many, panels] : {std::pair{1, 1}, {6, 1}, {7, 1}, {20, 1}, {6, 2}, {7, 3}, {2, 5}}) {
    for (const char* name : {"a", "a rather long name of a curve "}) {
      for (const bool shared : {true, false}) {
        Figure figure;
        for (int p = 0; p < panels; ++p) {
          Panel panel{.title = "A title", .x = {"step", true}, .y = {"loss", true}};
          for (int s = 0; s < many; ++s) {
            Series series{.label = name + std::to_string(shared ? s : 100 * p + s)};
            for (int i = 1; i < 20; ++i) {
              series.x.push_back(i);
              series.y.push_back(std::exp(-0.1 * i) * (1 + 0.05 * s));
            }
            panel.series.push_back(series);
          }
          figure.panels.push_back(panel);
        }
        figures.push_back(figure);
      }
    }
  }
  EXPECT_EQ(complaints(figures), "");
}

TEST(Figure, ACurveUnderOthersIsSeen) {
  ENTK_NEEDS_GNUPLOT();
  Panel panel;
  for (const char* name : {"R1", "R2", "R3"}) panel.series.push_back({.label = name, .x = {1, 2, 3}, .y = {1, 3, 2}});
  EXPECT_EQ(complaints({{.panels = {panel}}}), "");
}

TEST(Figure, WhatCannotBeReadIsFound) {
  ENTK_NEEDS_GNUPLOT();
  const TemporaryFolder folder;
  const std::string script = plot::script_text("fig", three_panels());
  write_text(folder / "fig.dat", plot::data_text("fig", three_panels()));
  const auto complaints_of = [&](const std::string& from, const std::string& to) {
    std::string broken = script;
    broken.replace(broken.find(from), from.size(), to);
    write_text(folder / "fig.gp", broken);
    EXPECT_EQ(run_program({"gnuplot", "-d", "fig.gp"}, folder.path(), 60s).output, "");
    return run_program({ENTK_PYTHON, ENTK_SOURCE_DIR "/tests/support/svg_geometry.py", (folder / "fig.svg").string()},
                       folder.path(), 60s)
        .output;
  };
  EXPECT_EQ(complaints_of("reset", "reset"), "");
  const std::string label = "'series\u00A02' at screen ";
  const auto at = script.find(label) + label.size();
  const std::string place = label + script.substr(at, script.find(" left", at) - at);
  EXPECT_NE(complaints_of(place, label + "0.98,0.5").find("leaves the page"), std::string::npos);
  EXPECT_NE(complaints_of(place, label + "0.4,0.5").find("overlaps a curve"), std::string::npos);
  EXPECT_NE(complaints_of(place, label + "0.4,0.5").find("stands in a frame"), std::string::npos);
  const std::string other = "'series\u00A01' at screen ";
  const auto there = script.find(other) + other.size();
  EXPECT_NE(
      complaints_of(place, label + script.substr(there, script.find(" left", there) - there)).find("' overlaps '"),
      std::string::npos);
  const Figure hidden = one_series({.label = "a", .x = {1, 2}, .y = {1, 2}});
  std::string twice = plot::script_text("fig", hidden);
  const auto plot = twice.find("  plot ") + 7, end = twice.find('\n', plot);
  twice.insert(end, ", " + twice.substr(plot, end - plot) + " lc rgb 'red'");
  write_text(folder / "fig.gp", twice);
  write_text(folder / "fig.dat", plot::data_text("fig", hidden));
  run_program({"gnuplot", "-d", "fig.gp"}, folder.path(), 60s);
  EXPECT_NE(run_program({ENTK_PYTHON, ENTK_SOURCE_DIR "/tests/support/svg_geometry.py", (folder / "fig.svg").string()},
                        folder.path(), 60s)
                .output.find("lies under others"),
            std::string::npos);
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

/// Linear red, green and blue.
std::array<double, 3> linear(const std::string& color) {
  std::array<double, 3> rgb{};
  for (int i = 0; i < 3; ++i) {
    const double v = std::stoi(color.substr(1 + 2 * i, 2), nullptr, 16) / 255.0;
    rgb[i] = v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
  }
  return rgb;
}

TEST(Palette, CategoricalColoursDifferInGreyAndWithoutOneKindOfCones) {
  const auto colors = palette_colors(Palette::categorical, 8);
  EXPECT_EQ(colors[7], colors[0]);
  // Machado, Oliveira and Fernandes (2009), severity 1: protanopia, deuteranopia, tritanopia; and all of it.
  const double seen[4][3][3] = {
      {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
      {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
      {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
      {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}}};
  const auto oklab = [](const std::array<double, 3>& c) {
    const double l = std::cbrt(0.4122214708 * c[0] + 0.5363325363 * c[1] + 0.0514459929 * c[2]);
    const double m = std::cbrt(0.2119034982 * c[0] + 0.6806995451 * c[1] + 0.1073969566 * c[2]);
    const double s = std::cbrt(0.0883024619 * c[0] + 0.2817188376 * c[1] + 0.6299787005 * c[2]);
    return std::array{0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
                      1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
                      0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s};
  };
  const auto grey = [&](const std::array<double, 3>& c) {
    return 1.16 * std::cbrt(0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]) - 0.16;
  };
  for (int i = 0; i < 7; ++i) {
    EXPECT_LT(grey(linear(colors[i])), 0.75) << "too light for paper";
    for (int j = 0; j < i; ++j) {
      EXPECT_GT(std::fabs(grey(linear(colors[i])) - grey(linear(colors[j]))), 0.08) << i << " " << j;
      for (const auto& matrix : seen) {
        std::array<double, 3> a{}, b{};
        for (int r = 0; r < 3; ++r) {
          for (int c = 0; c < 3; ++c) {
            a[r] += matrix[r][c] * linear(colors[i])[c], b[r] += matrix[r][c] * linear(colors[j])[c];
          }
          a[r] = std::max(a[r], 0.0), b[r] = std::max(b[r], 0.0);
        }
        const auto p = oklab(a), q = oklab(b);
        EXPECT_GT(std::hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]), 0.14) << i << " " << j;
      }
    }
  }
}

}  // namespace
}  // namespace entk::plot_test
