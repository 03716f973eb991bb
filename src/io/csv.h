// Tables of numbers in CSV: a header of column names, then one row a line.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "entk/io/descriptor.h"

namespace entk {

/// Appends rows to a file. Each row is one checked write, so a kill leaves at most the last line
/// torn; a row that does not fit on the disk leaves nothing. Numbers are written by shortest().
class CsvWriter {
 public:
  /// Opens the file and writes the header, or, where one is there, goes on behind its last whole
  /// row.
  /// @throws InputError if the file has other columns, or for a name that holds a comma, a quote or
  /// a control character; SaveError
  CsvWriter(std::filesystem::path path, const std::vector<std::string>& columns);

  /// One row, a number a column. @throws SaveError naming file and reason
  void row(const std::vector<double>& values);
  /// Waits until the rows are on the disk: a checkpoint that is saved later does not outlive them.
  void sync();

 private:
  void append(const std::string& line);

  std::filesystem::path path_;
  std::size_t columns_;
  Descriptor file_;
};

struct CsvTable {
  std::vector<std::string> columns;
  std::vector<std::vector<double>> rows;

  /// One column's numbers. @throws InputError naming the nearest column
  std::vector<double> column(const std::string& name) const;
};

/// Reads a file that CsvWriter wrote; a torn last line is left out.
/// @throws InputError "path:line: what"
CsvTable read_csv(const std::filesystem::path& path);

/// Drops the rows whose `column` is above `value`, and a torn last line; the others keep their
/// bytes.
/// @throws InputError, SaveError
void cut_csv_after(const std::filesystem::path& path, const std::string& column, double value);

}  // namespace entk
