// Tables of results: one description, rendered as plain text, GitHub Markdown, CSV and HTML.
#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "entk/report/statistics.h"

namespace entk {

/// How a column shows its numbers. CSV always has full precision.
enum class NumberFormat {
  significant,  ///< `digits` significant digits, as 0.001235 or 1.235e-7; whole numbers as they are
  fixed,        ///< `digits` digits after the point
  shortest,     ///< the shortest decimal that reads back as the same double: for parameters
};

/// A column's name, and how its numbers are shown.
struct Column {
  std::string name;                                 ///< at its head
  int digits = 4;                                   ///< as its format says
  NumberFormat format = NumberFormat::significant;  ///< of its numbers

  /// The same with the name as a literal.
  Column(const char* name, int digits = 4, NumberFormat format = NumberFormat::significant)
      : name(name), digits(digits), format(format) {}
  /// A name, and digits as the format counts them.
  Column(std::string name, int digits = 4, NumberFormat format = NumberFormat::significant)
      : name(std::move(name)), digits(digits), format(format) {}
};

/// A value and its standard deviation (or error). A NaN deviation is not shown.
struct Uncertain {
  double value;      ///< the number
  double deviation;  ///< of one standard deviation, or an error
};

/// Text, a number, or one with its uncertainty.
struct Cell {
  std::variant<std::string, double, Uncertain, Estimate> content;  ///< one of these

  Cell(const char* text) : content(std::string(text)) {}  ///< text
  Cell(std::string text) : content(std::move(text)) {}    ///< text
  Cell(Uncertain number) : content(number) {}             ///< value ± deviation
  Cell(Estimate number) : content(std::move(number)) {}   ///< value and interval
  template <typename T>
    requires(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>)
  Cell(T number) : content(static_cast<double>(number)) {}  ///< a number
};

/// Rows under named columns.
struct Table {
  std::string title;                    ///< empty: none
  std::vector<Column> columns;          ///< in their order
  std::vector<std::vector<Cell>> rows;  ///< each with one cell a column
  /// The first columns that tell the rows apart: no two rows show the same in all of them. Their numbers are
  /// parameters, shown in full (NumberFormat::shortest).
  std::size_t keys = 1;
};

/// A number in at most `digits` significant digits. NaN is "–", infinity "∞".
std::string format_number(double value, int digits = 4, NumberFormat format = NumberFormat::significant);
/// "0.1412 ± 0.0032" or "(1.24 ± 0.03)e-5": two digits of the deviation, the value to match. Where
/// the deviation is 0, NaN or far below the value, the value as by format_number.
std::string format_number(Uncertain number, int digits = 4, NumberFormat format = NumberFormat::significant);

/// "1.73 [1.21, 2.25]", both ends of the 95% interval with two digits of its width; without one "1.73".
std::string format_number(const Estimate& number, int digits = 4);
/// The same in a sentence, with what it rests on: "1.73 (95% interval 1.21 to 2.25, mean over 3 seeds)",
/// "1.73 (no interval: one seed)", "1.73" where it is exact.
std::string to_sentence(const Estimate& number, int digits = 3);

/// Columns with a number are aligned to the right. All four throw InputError if a row's length is
/// not the number of columns, or if two rows have equal keys.
std::string to_text(const Table& table);
/// GitHub's.
std::string to_markdown(const Table& table);
/// RFC 4180 with a header line and "\n"; numbers in the shortest form that reads back as the same
/// double. A column with an uncertain cell becomes two, the second named "… deviation"; one with an estimate three,
/// "… low" and "… high" after it.
std::string to_csv(const Table& table);
/// An HTML table with everything escaped. Numbers are not broken between lines. One wider than a phone is of class
/// "wide", and its cells carry their column's name (data-name).
std::string to_html(const Table& table);

/// The table as few tables as leave each at most this many em wide, words of text broken between lines, in parts of
/// like width, each with the key columns. One where a single column does not fit is wider.
std::vector<Table> split_to_width(const Table& table, double em);

}  // namespace entk
