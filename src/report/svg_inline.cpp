#include "entk/report/svg_inline.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "entk/base/error.h"
#include "entk/report/text.h"

namespace entk {

namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw InputError("svg: expected a picture of shapes and text alone, found " + clean_text(what));
}

struct Attribute {
  std::string name, value;
};

// A tag, or, with an empty name, the text between two tags (still escaped).
struct Token {
  std::string name, text;
  std::vector<Attribute> attributes;
  bool closing = false, empty = false;
};

constexpr std::string_view blanks = " \t\r\n";

// Attributes of "name a='1' b=\"2\"", from the first blank on.
std::vector<Attribute> parse_attributes(std::string_view text) {
  std::vector<Attribute> attributes;
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    if (text.empty()) return attributes;
    const auto equals = text.find('=');
    if (equals == std::string_view::npos || equals + 2 >= text.size())
      refuse("an attribute without a value");
    std::string_view name = text.substr(0, equals);
    name = name.substr(0, name.find_first_of(blanks));
    text.remove_prefix(equals + 1);
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    const char quote = text.empty() ? '\0' : text[0];
    const auto end = quote == '"' || quote == '\'' ? text.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) refuse("an attribute without quotes");
    attributes.push_back({std::string(name), std::string(text.substr(1, end - 1))});
    text.remove_prefix(end + 1);
  }
}

// End of the tag that starts at `start`: the first > outside quotes.
std::size_t tag_end(std::string_view svg, std::size_t start) {
  char quote = '\0';
  for (std::size_t i = start; i < svg.size(); ++i) {
    if (quote == '\0' && svg[i] == '>') return i;
    if (quote != '\0' ? svg[i] == quote : svg[i] == '"' || svg[i] == '\'') {
      quote = quote == '\0' ? svg[i] : '\0';
    }
  }
  refuse("a tag that does not end");
}

std::vector<Token> tokens_of(std::string_view svg) {
  const auto start = svg.find("<svg");
  if (start == std::string_view::npos) refuse("no <svg> element");
  svg.remove_prefix(start);
  std::vector<Token> tokens;
  while (!svg.empty()) {
    const auto open = std::min(svg.find('<'), svg.size());
    if (open > 0) {
      tokens.emplace_back().text = svg.substr(0, open);
      svg.remove_prefix(open);
    } else if (svg.substr(0, 4) == "<!--") {
      const auto end = svg.find("-->");
      if (end == std::string_view::npos) refuse("a comment that does not end");
      svg.remove_prefix(end + 3);
    } else {
      const auto end = tag_end(svg, 1);
      std::string_view inside = svg.substr(1, end - 1);
      svg.remove_prefix(end + 1);
      Token& token = tokens.emplace_back();
      token.closing = !inside.empty() && inside.front() == '/';
      if (token.closing) inside.remove_prefix(1);
      token.empty = !inside.empty() && inside.back() == '/';
      if (token.empty) inside.remove_suffix(1);
      const auto name_end = std::min(inside.find_first_of(blanks), inside.size());
      token.name = inside.substr(0, name_end);
      if (!token.closing) token.attributes = parse_attributes(inside.substr(name_end));
      if (token.closing && token.name == "svg") return tokens;
    }
  }
  refuse("no </svg>");
}

bool is_allowed(const std::string& element) {
  static constexpr std::string_view allowed[] = {"svg",
                                                 "g",
                                                 "defs",
                                                 "path",
                                                 "rect",
                                                 "circle",
                                                 "ellipse",
                                                 "line",
                                                 "polyline",
                                                 "polygon",
                                                 "text",
                                                 "tspan",
                                                 "use",
                                                 "filter",
                                                 "feFlood",
                                                 "feComposite",
                                                 "clipPath",
                                                 "pattern",
                                                 "stop",
                                                 "linearGradient",
                                                 "radialGradient",
                                                 "symbol",
                                                 "marker",
                                                 "mask",
                                                 "title",
                                                 "desc"};
  return std::find(std::begin(allowed), std::end(allowed), element) != std::end(allowed);
}

// Calls visit(id) for every "#id" that the attribute refers to, and puts its answer in the place.
template <typename Visit>
void visit_references(Attribute& attribute, Visit visit) {
  std::string& value = attribute.value;
  if (attribute.name == "href" || attribute.name == "xlink:href") {
    if (value.empty() || value[0] != '#') refuse("a reference to " + value);
    value = "#" + visit(value.substr(1));
    return;
  }
  for (std::size_t at = value.find("url("); at != std::string::npos;
       at = value.find("url(", at + 4)) {
    const auto end = value.find(')', at);
    if (end == std::string::npos || value[at + 4] != '#') refuse("a reference in " + value);
    value.replace(at + 5, end - at - 5, visit(value.substr(at + 5, end - at - 5)));
  }
}

void check(const Token& token) {
  if (token.name.empty()) return;
  if (!is_allowed(token.name)) refuse("<" + token.name + ">");
  for (const auto& [name, value] : token.attributes) {
    const bool plain = name.find_first_not_of(
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789:-") == std::string::npos;
    if (!plain || name.substr(0, 2) == "on" || name.substr(0, 2) == "ON" || name == "src") {
      refuse("the attribute " + name);
    }
    if (value.find('<') != std::string::npos || value.find('\\') != std::string::npos) {
      refuse("the value " + value);
    }
  }
}

std::string attribute_text(const std::string& name, const std::string& value) {
  const char quote = value.find('"') == std::string::npos ? '"' : '\'';
  return fmt::format(" {}={}{}{}", name, quote, value, quote);
}

}  // namespace

std::string inline_svg(std::string_view svg, const std::string& prefix,
                       const std::string& description) {
  std::vector<Token> tokens = tokens_of(svg);
  std::set<std::string> wanted;
  for (auto& token : tokens) {
    check(token);
    for (auto& attribute : token.attributes) {
      visit_references(attribute, [&](const std::string& id) {
        wanted.insert(id);
        return prefix + id;
      });
    }
  }
  std::string out;
  std::string skipped;  // the <title> or <desc> that is being left out
  for (const auto& token : tokens) {
    if (!skipped.empty()) {
      if (token.closing && token.name == skipped) skipped.clear();
      continue;
    }
    if (token.name.empty()) {
      out += clean_text(token.text, /*keep_lines=*/true);
      continue;
    }
    if (token.name == "title" || token.name == "desc") {
      if (!token.empty) skipped = token.name;
      continue;
    }
    const bool root = out.empty();
    out += (token.closing ? "</" : "<") + token.name;
    for (const auto& [name, value] : token.attributes) {
      if (name.rfind("xmlns", 0) == 0 || name.rfind("xml:", 0) == 0) continue;
      if (root && name == "width") {
        out += fmt::format(" style=\"max-width:{:.0f}px\"", 1.5 * std::atof(value.c_str()));
      } else if (name == "id") {
        // The first element of an id is the one referred to, as in a file of its own.
        if (wanted.erase(value) > 0) out += attribute_text(name, prefix + value);
      } else if (!(root && name == "height")) {
        out += attribute_text(name == "xlink:href" ? "href" : name, value);
      }
    }
    if (root) out += fmt::format(" role=\"img\" aria-label=\"{}\"", escape_html(description));
    out += token.empty ? "/>" : ">";
  }
  return out;
}

}  // namespace entk
