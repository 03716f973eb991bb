#include "entk/report/plot.h"

#include <chrono>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "entk/base/error.h"
#include "entk/io/atomic_file.h"
#include "entk/io/scratch_folder.h"
#include "entk/report/plot_answers.h"
#include "entk/report/plot_script.h"
#include "entk/report/process.h"

namespace entk {

namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds gnuplot_limit{120};

void check(const std::string& name, const Figure& figure) {
  const bool good_name = !name.empty() && name[0] != '.' && name[0] != '-' &&
                         name.find_first_not_of(
                             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "0123456789-_.") == std::string::npos;
  if (!good_name) {
    throw InputError("figure: expected a name of letters, digits, '-', '_' and '.', got '" + name + "'");
  }
  if (figure.panels.empty()) throw InputError("figure " + name + ": expected at least one panel");
  for (std::size_t p = 0; p < figure.panels.size(); ++p) {
    for (std::size_t s = 0; s < figure.panels[p].series.size(); ++s) {
      const Series& series = figure.panels[p].series[s];
      const std::size_t n = series.x.size();
      const bool band = !series.low.empty() || !series.high.empty();
      if (series.y.size() != n || (band && (series.low.size() != n || series.high.size() != n))) {
        throw InputError(
            fmt::format("figure {}: panel {}, series {}: x, y, low and high have {}, {}, {} and {} values; "
                        "expected "
                        "as many y as x, and as many low and high or none",
                        name, p + 1, s + 1, n, series.y.size(), series.low.size(), series.high.size()));
      }
      if (series.color && (*series.color < 0 || *series.color > 255)) {
        throw InputError(fmt::format("figure {}: panel {}, series {}: color must be in 0 … 255, got {}", name, p + 1,
                                     s + 1, *series.color));
      }
    }
  }
}

// gnuplot on a full disk may end with status 0 and half a file.
bool is_whole(const std::string& bytes, const std::string& extension) {
  const auto ends_with = [&](std::string_view end) {
    const auto last = bytes.find_last_not_of(" \n");
    return last != std::string::npos && last + 1 >= end.size() &&
           std::string_view(bytes).substr(last + 1 - end.size(), end.size()) == end;
  };
  if (extension == "svg") return ends_with("</svg>");
  if (extension == "pdf") return ends_with("%%EOF");
  return ends_with("IEND\xAE\x42\x60\x82");
}

// cairo writes the time of day into the PDF: a fixed date of the same length keeps the bytes equal
// from run to run, and the offsets right.
void fix_date(std::string& pdf) {
  const std::string key = "/CreationDate (D:";
  const auto start = pdf.find(key);
  if (start == std::string::npos) return;
  const std::string date = "20000101000000";
  if (start + key.size() + date.size() <= pdf.size()) pdf.replace(start + key.size(), date.size(), date);
}

// Runs the script in a folder of its own, so that what it leaves half made is never taken for a
// figure; returns why a file is missing.
std::string run_gnuplot(const fs::path& folder, const std::string& name, const Figure& figure, FigureFiles& files) {
  // Where a run goes on in a folder, what a killed process left under such names is removed.
  const ScratchFolder scratch(".entk-temporary-" + name + "-", folder);
  fs::copy_file(files.data, scratch.path() / (name + ".dat"));
  // -d: no user's or system's start-up file; GNUTERM is read even so, and one that is unknown is an error.
  const ProcessResult run = run_program({"/usr/bin/env", "-u", "GNUTERM", "gnuplot", "-d", "../" + name + ".gp"},
                                        scratch.path(), gnuplot_limit);
  if (!run.found || run.status == 127) return "gnuplot is not on PATH";
  if (run.timed_out) return fmt::format("gnuplot took longer than {} s", gnuplot_limit.count());
  if (run.status != 0) return fmt::format("gnuplot ended with status {}: {}", run.status, run.output);
  for (auto [extension, path] :
       {std::pair<std::string, fs::path*>{"svg", &files.svg}, {"png", &files.png}, {"pdf", &files.pdf}}) {
    const std::string file = name + "." + extension;
    std::string bytes = read_file(scratch.path() / file);
    if (!is_whole(bytes, extension)) return fmt::format("gnuplot left no whole {}: {}", file, run.output);
    if (extension == "pdf") fix_date(bytes);
    if (extension == "svg") bytes = plot::with_numbers(bytes, figure);
    write_file_atomically(folder / file, bytes);
    *path = folder / file;
  }
  return "";
}

}  // namespace

Label rich_text(std::string markup) {
  Label label(std::move(markup));
  label.rich = true;
  return label;
}

FigureFiles write_figure(const fs::path& folder, const std::string& name, const Figure& figure) {
  check(name, figure);
  const std::string script = plot::script_text(name, figure);
  FigureFiles files;
  files.data = folder / (name + ".dat");
  files.script = folder / (name + ".gp");
  write_file_atomically(files.data, plot::data_text(name, figure));
  write_file_atomically(files.script, script);
  std::string reason;
  try {
    reason = run_gnuplot(folder, name, figure, files);
  } catch (const std::exception& error) {
    reason = error.what();
  }
  if (!reason.empty()) {
    files.notice = fmt::format(
        "figure {} was not drawn in full ({}); its data and script are kept: "
        "`gnuplot {}.gp` in {} draws it",
        name, reason, name, folder.string());
  }
  return files;
}

Series power_law_line(const PowerLaw& law, double x_low, double x_high, Label label) {
  return {
      .label = std::move(label), .x = {x_low, x_high}, .y = {law(x_low), law(x_high)}, .style = SeriesStyle::reference};
}

Series guide_line(double slope, double x, double y, double x_low, double x_high, Label label) {
  const PowerLaw law{slope, std::log(y) - slope * std::log(x)};
  return power_law_line(law, x_low, x_high, std::move(label));
}

}  // namespace entk
