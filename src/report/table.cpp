#include "entk/report/table.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "entk/base/error.h"
#include "entk/io/text.h"
#include "entk/report/text.h"

namespace entk {

namespace {

std::string shown(const Cell& cell, const Column& column, bool key);

void check(const Table& table) {
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    if (table.rows[r].size() != table.columns.size()) {
      throw InputError(fmt::format("table '{}': row {} has {} cells, expected {} (one a column)", table.title, r,
                                   table.rows[r].size(), table.columns.size()));
    }
  }
  std::map<std::vector<std::string>, std::size_t> seen;
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    std::vector<std::string> keys;
    for (std::size_t c = 0; c < std::min(table.keys, table.columns.size()); ++c) {
      keys.push_back(shown(table.rows[r][c], table.columns[c], true));
    }
    if (const auto [found, is_new] = seen.emplace(keys, r); !is_new) {
      throw InputError(fmt::format("table '{}': rows {} and {} have the same key: {}", table.title, found->second, r,
                                   fmt::join(keys, ", ")));
    }
  }
}

const std::string* as_string(const Cell& cell) { return std::get_if<std::string>(&cell.content); }
const Uncertain* as_uncertain(const Cell& cell) { return std::get_if<Uncertain>(&cell.content); }

const Estimate* as_estimate(const Cell& cell) { return std::get_if<Estimate>(&cell.content); }

std::string shown(const Cell& cell, const Column& column, bool key) {
  if (const auto* text = as_string(cell)) return clean_text(*text);
  if (const auto* pair = as_uncertain(cell)) return format_number(*pair, column.digits, column.format);
  if (const auto* estimate = as_estimate(cell)) return format_number(*estimate, column.digits);
  return format_number(std::get<double>(cell.content), column.digits, key ? NumberFormat::shortest : column.format);
}

bool has_numbers(const Table& table, std::size_t column) {
  return std::any_of(table.rows.begin(), table.rows.end(),
                     [&](const auto& row) { return as_string(row[column]) == nullptr; });
}

// The header and the rows as strings, each passed through `escape`; `right` and `width` by column.
struct Grid {
  std::vector<std::vector<std::string>> lines;
  std::vector<bool> right;
  std::vector<std::size_t> width;
};

template <typename Escape>
Grid make_grid(const Table& table, Escape escape) {
  check(table);
  Grid grid;
  auto& header = grid.lines.emplace_back();
  for (const auto& column : table.columns) header.push_back(escape(clean_text(column.name)));
  for (const auto& row : table.rows) {
    auto& line = grid.lines.emplace_back();
    for (std::size_t c = 0; c < row.size(); ++c)
      line.push_back(escape(shown(row[c], table.columns[c], c < table.keys)));
  }
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    grid.right.push_back(has_numbers(table, c));
    std::size_t width = 0;
    for (const auto& line : grid.lines) width = std::max(width, text_width(line[c]));
    grid.width.push_back(width);
  }
  return grid;
}

std::string pad(const std::string& text, std::size_t width, bool right) {
  const std::string space(width - std::min(width, text_width(text)), ' ');
  return right ? space + text : text + space;
}

std::string escape_markdown(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (std::string_view("\\`*_[]<>|~$&").find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

std::string to_text(const Table& table) {
  const Grid grid = make_grid(table, [](std::string text) { return text; });
  std::string out = table.title.empty() ? "" : clean_text(table.title) + "\n";
  for (std::size_t l = 0; l < grid.lines.size(); ++l) {
    std::string line;
    for (std::size_t c = 0; c < grid.width.size(); ++c) {
      if (c > 0) line += "  ";
      line += pad(grid.lines[l][c], grid.width[c], grid.right[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
    if (l > 0) continue;
    for (std::size_t c = 0; c < grid.width.size(); ++c) {
      if (c > 0) out += "  ";
      for (std::size_t i = 0; i < grid.width[c]; ++i) out += "─";
    }
    out += "\n";
  }
  return out;
}

std::string to_markdown(const Table& table) {
  Grid grid = make_grid(table, escape_markdown);
  for (auto& width : grid.width) width = std::max<std::size_t>(width, 3);
  std::string out;
  if (!table.title.empty()) out = "**" + escape_markdown(clean_text(table.title)) + "**\n\n";
  for (std::size_t l = 0; l < grid.lines.size(); ++l) {
    for (std::size_t c = 0; c < grid.width.size(); ++c) {
      out += "| " + pad(grid.lines[l][c], grid.width[c], grid.right[c]) + " ";
    }
    out += "|\n";
    if (l > 0) continue;
    for (std::size_t c = 0; c < grid.width.size(); ++c) {
      out += "| " + std::string(grid.width[c] - 1, '-') + (grid.right[c] ? ": " : "- ");
    }
    out += "|\n";
  }
  return out;
}

std::string to_csv(const Table& table) {
  check(table);
  std::vector<std::string> header;
  // What a column's further columns hold, by the cells that are in it.
  std::vector<bool> uncertain, estimated;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const auto any = [&](auto is) {
      return std::any_of(table.rows.begin(), table.rows.end(), [&](const auto& row) { return is(row[c]); });
    };
    uncertain.push_back(any([](const Cell& cell) { return as_uncertain(cell) != nullptr; }));
    estimated.push_back(any([](const Cell& cell) { return as_estimate(cell) != nullptr; }));
    const auto& name = table.columns[c].name;
    header.push_back(csv_field(name));
    if (uncertain[c]) header.push_back(csv_field(name + " deviation"));
    if (estimated[c]) header.insert(header.end(), {csv_field(name + " low"), csv_field(name + " high")});
  }
  std::string out = fmt::format("{}\n", fmt::join(header, ","));
  for (const auto& row : table.rows) {
    std::vector<std::string> line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const auto* text = as_string(row[c]);
      const auto* pair = as_uncertain(row[c]);
      const auto* estimate = as_estimate(row[c]);
      line.push_back(text       ? csv_field(*text)
                     : pair     ? shortest(pair->value)
                     : estimate ? shortest(estimate->value)
                                : shortest(std::get<double>(row[c].content)));
      if (uncertain[c]) line.push_back(pair ? shortest(pair->deviation) : "");
      if (!estimated[c]) continue;
      line.push_back(estimate ? shortest(estimate->low) : "");
      line.push_back(estimate ? shortest(estimate->high) : "");
    }
    out += fmt::format("{}\n", fmt::join(line, ","));
  }
  return out;
}

std::string to_html(const Table& table) {
  const Grid grid = make_grid(table, [](const std::string& text) { return escape_html(text); });
  std::string out = "<table>\n";
  if (!table.title.empty()) out += "<caption>" + escape_html(table.title) + "</caption>\n";
  for (std::size_t l = 0; l < grid.lines.size(); ++l) {
    if (l == 0) out += "<thead>\n";
    if (l == 1) out += "<tbody>\n";
    out += "<tr>";
    for (std::size_t c = 0; c < grid.width.size(); ++c) {
      const char* right = grid.right[c] ? " class=\"number\"" : "";
      out += l == 0 ? fmt::format("<th scope=\"col\"{}>{}</th>", right, grid.lines[l][c])
                    : fmt::format("<td{}>{}</td>", right, grid.lines[l][c]);
    }
    out += "</tr>\n";
    if (l == 0) out += "</thead>\n";
  }
  if (grid.lines.size() > 1) out += "</tbody>\n";
  return out + "</table>\n";
}

}  // namespace entk
