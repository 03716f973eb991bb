#include "entk/report/table.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string_view>

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

namespace {

constexpr double padding_em = 1.5;  // of a cell, as page.css has it
constexpr double phone_em = 23;

/// What a page shows of a cell. A number stays on a line, apart from its interval.
std::string shown_on_page(const Cell& cell, const Column& column, bool key) {
  std::string text = shown(cell, column, key);
  if (as_string(cell)) return text;
  for (auto at = text.find(' '); at != std::string::npos; at = text.find(' ', at + 1)) {
    if (text.compare(at, 2, " [") != 0) text.replace(at, 1, "\u00A0");
  }
  return text;
}

/// The width that each column needs: its longest word, of text up to a few words.
std::vector<double> widths_em(const Table& table) {
  const auto longest_word = [](std::string_view text) {
    double em = 0;
    while (!text.empty()) {
      const auto end = std::min(text.find(' '), text.size());
      em = std::max(em, text_em(text.substr(0, end)));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    return em;
  };
  std::vector<double> widths;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    double width = longest_word(clean_text(table.columns[c].name));
    for (const auto& row : table.rows) {
      const auto text = shown_on_page(row[c], table.columns[c], c < table.keys);
      width = std::max({width, longest_word(text), as_string(row[c]) ? std::min(9.0, text_em(text)) : 0.0});
    }
    widths.push_back(width + padding_em);
  }
  return widths;
}

}  // namespace

std::string to_html(const Table& table) {
  check(table);
  const auto widths = widths_em(table);
  const bool wide = std::accumulate(widths.begin(), widths.end(), 0.0) > phone_em;
  std::string out = wide ? "<table class=\"wide\">\n" : "<table>\n";
  if (!table.title.empty()) out += "<caption>" + prose_html(table.title) + "</caption>\n";
  const auto right = [&](std::size_t c) { return has_numbers(table, c) ? " class=\"number\"" : ""; };
  out += "<thead>\n<tr>";
  for (std::size_t c = 0; c < table.columns.size(); ++c)
    out += fmt::format("<th scope=\"col\"{}>{}</th>", right(c), prose_html(table.columns[c].name));
  out += "</tr>\n</thead>\n";
  if (!table.rows.empty()) out += "<tbody>\n";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c) {
      const auto& column = table.columns[c];
      const auto name = wide ? fmt::format(" data-name=\"{}\"", escape_html(column.name)) : "";
      out += fmt::format("<td{}{}>{}</td>", right(c), name, prose_html(shown_on_page(row[c], column, c < table.keys)));
    }
    out += "</tr>\n";
  }
  if (!table.rows.empty()) out += "</tbody>\n";
  return out + "</table>\n";
}

std::vector<Table> split_to_width(const Table& table, double em) {
  check(table);
  const auto widths = widths_em(table);
  const std::size_t keys = std::min(table.keys, table.columns.size());
  const double key_width = std::accumulate(widths.begin(), widths.begin() + static_cast<std::ptrdiff_t>(keys), 0.0);
  // Where each part begins if none is wider than this.
  const auto begins = [&](double most) {
    std::vector<std::size_t> parts;
    double width = INFINITY;
    for (std::size_t c = keys; c < widths.size(); ++c) {
      if (width + widths[c] > most) parts.push_back(c), width = key_width;
      width += widths[c];
    }
    return parts;
  };
  auto parts = begins(em);
  if (parts.size() <= 1) return {table};
  while (em > 1 && begins(em - 1).size() == parts.size()) parts = begins(--em);
  std::vector<Table> tables;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    const std::size_t from = parts[p], to = p + 1 < parts.size() ? parts[p + 1] : widths.size();
    Table part{p == 0 ? table.title : "", {}, {}, keys};
    const auto take = [&](const auto& row) {
      auto some = row;
      some.erase(some.begin() + static_cast<std::ptrdiff_t>(to), some.end());
      some.erase(some.begin() + static_cast<std::ptrdiff_t>(keys), some.begin() + static_cast<std::ptrdiff_t>(from));
      return some;
    };
    part.columns = take(table.columns);
    for (const auto& row : table.rows) part.rows.push_back(take(row));
    tables.push_back(std::move(part));
  }
  return tables;
}

}  // namespace entk
