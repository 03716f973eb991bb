// A report as one self-contained HTML page: nothing loaded, readable offline, on paper, in light and dark, and without
// script; one script of ours (page.js) makes the figures answer.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "entk/report/plot.h"
#include "entk/report/table.h"

namespace entk {

/// What became of a claim.
enum class Verdict { held, did_not_hold, too_small_to_tell, not_run };

/// "held", "did not hold", "too small to tell", "not run".
std::string to_string(Verdict verdict);

/// A claim in one line of a list of claims.
struct ClaimLine {
  std::string source;     ///< where in the paper
  std::string statement;  ///< what it says
  std::string paper;      ///< its value
  std::string ours;       ///< the one measured
  Verdict verdict;        ///< on it
  std::string target{};   ///< where the statement leads: "#id" on the page, or a file beside it; empty: nowhere
};

/// A word that leads somewhere.
struct Link {
  std::string text;    ///< the word
  std::string target;  ///< "#id" on the page, or a file beside it
};

/// Everything given is text and is escaped; line breaks stay only in code(). In all but code() and key_values() indices
/// and exponents are set as such (f_L, m^(-1/2)).
class HtmlPage {
 public:
  explicit HtmlPage(const std::string& title);  ///< an empty page

  /// Level 2, 3 or 4 (1 is the title). Levels 2 and 3 make the table of contents. `id`: for links; one is made if
  /// empty.
  /// @throws InputError for another level.
  void heading(int level, const std::string& text, const std::string& id = "");
  void paragraph(const std::string& text);  ///< of running text
  /// One wider than the page goes on below, its key columns first again.
  void table(const Table& table);
  void code(const std::string& text);  ///< as it is, in a fixed-width face
  /// A coloured word and a line, with what it rests on: the paper's value, the one measured, the criterion.
  void verdict(Verdict verdict, const std::string& text, const std::vector<Link>& links = {},
               const std::vector<std::pair<std::string, std::string>>& grounds = {});
  /// A table of claims whose statements are broken into lines, each with its verdict.
  void claims(const std::vector<ClaimLine>& lines);
  /// A list of names and values, as they are; those without a value are left out.
  void key_values(const std::vector<std::pair<std::string, std::string>>& pairs);

  /// The figure's SVG with its caption, and the names of its data and script; where it was not
  /// drawn, the notice. `id`: for links. @throws InputError if the file cannot be read or holds no SVG.
  void figure(const FigureFiles& files, const std::string& caption, const std::string& id = "");
  /// SVG text, which becomes an image of its own bytes; `source`: where its data is.
  void figure(const std::string& svg, const std::string& caption, const std::string& source,
              const std::string& id = "");

  /// The page, title and table of contents first.
  std::string str() const;

 private:
  void list(const std::vector<std::pair<std::string, std::string>>& pairs, std::string (*shown)(std::string_view));

  std::string title_, contents_, body_;
  int headings_ = 0;
};

}  // namespace entk
