#include "entk/io/csv.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "entk/base/error.h"
#include "entk/io/atomic_file.h"
#include "entk/io/json_reader.h"
#include "entk/io/text.h"

namespace entk {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& path, std::size_t line, const std::string& why) {
  throw InputError(path.string() + ":" + std::to_string(line) + ": " + why);
}

[[noreturn]] void fail(const fs::path& path, int error) {
  throw SaveError("cannot append to " + path.string() + ": " + error_text(error));
}

/// What stands between the separators.
std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

/// The whole lines: the last one, which is torn or empty, is dropped.
std::vector<std::string_view> whole_lines(std::string_view text) {
  auto lines = split(text, '\n');
  lines.pop_back();
  return lines;
}

std::string header_line(const std::vector<std::string>& columns) {
  if (columns.empty()) throw InputError("expected at least one column");
  std::string line;
  for (const std::string& name : columns) {
    const bool plain =
        std::none_of(name.begin(), name.end(), [](char c) { return c == ',' || c == '"' || (c >= 0 && c < 0x20); });
    if (name.empty() || !plain) throw InputError("expected a plain column name, got " + in_quotes(name));
    line += (line.empty() ? "" : ",") + name;
  }
  return line + "\n";
}

std::size_t column_index(const std::vector<std::string>& columns, const std::string& name) {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end()) {
    const auto near = nearest_name(name, columns);
    throw InputError("expected a column " + in_quotes(name) +
                     (near ? ", found " + in_quotes(*near) : ", found none like it"));
  }
  return static_cast<std::size_t>(found - columns.begin());
}

CsvTable parse_csv(const fs::path& path, std::string_view text) {
  const auto lines = whole_lines(text);
  if (lines.empty()) refuse(path, 1, "expected a header");
  CsvTable table;
  for (const std::string_view name : split(lines[0], ',')) table.columns.emplace_back(name);
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const auto cells = split(lines[i], ',');
    if (cells.size() != table.columns.size()) {
      refuse(path, i + 1,
             "expected " + std::to_string(table.columns.size()) + " numbers, got " + std::to_string(cells.size()));
    }
    std::vector<double> row;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const auto number = parse_double(cells[c]);
      if (!number) refuse(path, i + 1, table.columns[c] + ": expected a number, got " + in_quotes(cells[c]));
      row.push_back(*number);
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

CsvWriter::CsvWriter(fs::path path, const std::vector<std::string>& columns)
    : path_(std::move(path)), columns_(columns.size()) {
  const std::string header = header_line(columns);
  // Whole from its first moment: others read it while it grows.
  if (!fs::exists(path_)) write_file_atomically(path_, header);
  file_ = open_file(path_, O_WRONLY | O_APPEND);
  if (!file_) fail(path_, errno);
  const std::string text = read_file(path_);
  const std::size_t whole = text.rfind('\n') + 1;  // 0 where there is none
  if (whole != text.size() && ::ftruncate(file_.get(), static_cast<off_t>(whole)) != 0) fail(path_, errno);
  if (whole == 0) {
    append(header);
  } else if (text.substr(0, text.find('\n') + 1) != header) {
    refuse(path_, 1,
           "expected the columns " + header.substr(0, header.size() - 1) + ", found " +
               in_quotes(text.substr(0, text.find('\n'))));
  }
}

void CsvWriter::row(const std::vector<double>& values) {
  if (values.size() != columns_) {
    throw InputError(path_.string() + ": expected " + std::to_string(columns_) + " numbers a row, got " +
                     std::to_string(values.size()));
  }
  std::string line;
  for (const double value : values) {
    if (!line.empty()) line += ',';
    line += shortest(value);
  }
  append(line + "\n");
}

void CsvWriter::append(const std::string& line) {
  struct stat before{};
  if (::fstat(file_.get(), &before) != 0) fail(path_, errno);
  if (write_all(file_.get(), line)) return;
  const int error = errno;
  // Half a row may have found room.
  if (::ftruncate(file_.get(), before.st_size) != 0) fail(path_, errno);
  fail(path_, error);
}

void CsvWriter::sync() {
  if (!sync_file(file_.get())) fail(path_, errno);
}

std::vector<double> CsvTable::column(const std::string& name) const {
  const std::size_t index = column_index(columns, name);
  std::vector<double> values;
  values.reserve(rows.size());
  for (const auto& row : rows) values.push_back(row[index]);
  return values;
}

CsvTable read_csv(const fs::path& path) { return parse_csv(path, read_file(path)); }

void cut_csv_after(const fs::path& path, const std::string& column, double value) {
  const std::string text = read_file(path);
  const CsvTable table = parse_csv(path, text);
  const auto lines = whole_lines(text);
  const std::size_t index = column_index(table.columns, column);
  std::string kept = std::string(lines[0]) + "\n";
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    if (table.rows[i][index] <= value) kept += std::string(lines[i + 1]) + "\n";
  }
  write_file_atomically(path, kept);
}

}  // namespace entk
