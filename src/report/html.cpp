#include "entk/report/html.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include <fmt/format.h>

#include "entk/base/error.h"
#include "entk/io/atomic_file.h"
#include "entk/report/text.h"

namespace entk {

std::string_view page_style();   // page.css, made a source file by the build
std::string_view page_script();  // page.js

namespace {

// The only script that a page may run: SHA-256 of page.js (a test says what it is after a change).
constexpr const char* script_hash = "sha256-POT/J5k1INhfk5JuQMryZr+ilVS9FjkC4t78hdeqcTw=";
constexpr double page_em = 55;  // of a table as wide as the page, in its own face

const char* symbol(Verdict verdict) {
  switch (verdict) {
    case Verdict::held:
      return "✓";
    case Verdict::did_not_hold:
      return "✗";
    case Verdict::too_small_to_tell:
      return "?";
    case Verdict::not_run:
      break;
  }
  return "–";
}

/// The verdict's class in the style: did-not-hold.
std::string css_class(Verdict verdict) {
  std::string name = to_string(verdict);
  for (char& c : name) c = c == ' ' ? '-' : c;
  return name;
}

/// The picture as the address of an <img>, in which nothing can run or be loaded, and whose ids are its own.
std::string data_url(const std::string& svg) {
  if (svg.find("<svg") == std::string::npos) throw InputError("HtmlPage: expected a figure's SVG text, got none");
  std::string url = "data:image/svg+xml,";
  url.reserve(url.size() + svg.size() * 5 / 4);
  for (const char c : svg) {
    const bool plain = c > ' ' && c < 127 && std::string_view("\"#%&'<>?").find(c) == std::string_view::npos;
    if (plain || c == ' ') {
      url += c;
    } else {
      fmt::format_to(std::back_inserter(url), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return url;
}

std::string anchor(const std::string& target, const std::string& text) {
  return fmt::format("<a href=\"{}\">{}</a>", escape_html(target), prose_html(text));
}

std::string badge(Verdict verdict) {
  return fmt::format("<span class=\"badge\">{} {}</span>", symbol(verdict), to_string(verdict));
}

}  // namespace

std::string to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::held:
      return "held";
    case Verdict::did_not_hold:
      return "did not hold";
    case Verdict::too_small_to_tell:
      return "too small to tell";
    case Verdict::not_run:
      break;
  }
  return "not run";
}

HtmlPage::HtmlPage(const std::string& title) : title_(clean_text(title)) {}

void HtmlPage::heading(int level, const std::string& text, const std::string& id) {
  if (level < 2 || level > 4) {
    throw InputError(fmt::format("HtmlPage: heading level must be 2, 3 or 4, got {}", level));
  }
  const std::string escaped = prose_html(clean_text(text));
  const std::string own = id.empty() ? fmt::format("section-{}", ++headings_) : escape_html(id);
  body_ += fmt::format("<h{0} id=\"{1}\">{2}</h{0}>\n", level, own, escaped);
  if (level <= 3) {
    contents_ += fmt::format("<li{}><a href=\"#{}\">{}</a></li>\n", level == 3 ? " class=\"inner\"" : "", own, escaped);
  }
}

void HtmlPage::paragraph(const std::string& text) { body_ += "<p>" + prose_html(text) + "</p>\n"; }

void HtmlPage::table(const Table& table) {
  // Focus lets the keyboard scroll what is wider all the same.
  for (const auto& part : split_to_width(table, page_em))
    body_ += "<div class=\"scroll\" tabindex=\"0\">\n" + to_html(part) + "</div>\n";
}

void HtmlPage::code(const std::string& text) { body_ += "<pre><code>" + escape_html(text) + "</code></pre>\n"; }

void HtmlPage::verdict(Verdict verdict, const std::string& text, const std::vector<Link>& links,
                       const std::vector<std::pair<std::string, std::string>>& grounds) {
  body_ += fmt::format("<div class=\"verdict {}\">\n<p>{}{}", css_class(verdict), badge(verdict), prose_html(text));
  for (const auto& link : links) body_ += " " + anchor(link.target, link.text);
  body_ += "</p>\n";
  list(grounds, prose_html);
  body_ += "</div>\n";
}

void HtmlPage::claims(const std::vector<ClaimLine>& lines) {
  const std::vector<std::string> names = {"Verdict", "Claim", "Where", "Paper", "Here"};
  body_ += "<div class=\"scroll\" tabindex=\"0\">\n<table class=\"claims wide\">\n<thead><tr>";
  for (const auto& name : names) body_ += "<th>" + name + "</th>";
  body_ += "</tr></thead>\n<tbody>\n";
  for (const auto& line : lines) {
    body_ += fmt::format("<tr class=\"{}\">", css_class(line.verdict));
    const std::string cells[] = {badge(line.verdict),
                                 line.target.empty() ? prose_html(line.statement) : anchor(line.target, line.statement),
                                 prose_html(line.source), prose_html(line.paper), prose_html(line.ours)};
    for (std::size_t c = 0; c < names.size(); ++c)
      body_ += fmt::format("<td data-name=\"{}\">{}</td>", names[c], cells[c].empty() ? "–" : cells[c]);
    body_ += "</tr>\n";
  }
  body_ += "</tbody>\n</table>\n</div>\n";
}

void HtmlPage::list(const std::vector<std::pair<std::string, std::string>>& pairs,
                    std::string (*shown)(std::string_view)) {
  std::string lines;
  for (const auto& [key, value] : pairs) {
    if (!value.empty()) lines += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escape_html(key), shown(value));
  }
  if (!lines.empty()) body_ += "<dl>\n" + lines + "</dl>\n";
}

void HtmlPage::key_values(const std::vector<std::pair<std::string, std::string>>& pairs) { list(pairs, escape_html); }

void HtmlPage::figure(const FigureFiles& files, const std::string& caption, const std::string& id) {
  if (files.svg.empty()) {
    paragraph(caption + " — " + (files.notice.empty() ? "not drawn" : files.notice));
    return;
  }
  std::string source;
  for (const auto& path : {files.data, files.script}) {
    if (!path.empty()) source += (source.empty() ? "" : ", ") + path.filename().string();
  }
  figure(read_file(files.svg), caption, source, id);
}

void HtmlPage::figure(const std::string& svg, const std::string& caption, const std::string& source,
                      const std::string& id) {
  body_ += (id.empty() ? "<figure>" : "<figure id=\"" + escape_html(id) + "\">") + "\n<img alt=\"" +
           escape_html(caption) + "\" src=\"" + data_url(svg) + "\">\n<figcaption>" + prose_html(caption);
  if (!source.empty()) {
    body_ += " <span class=\"source\">Data and script: " + escape_html(source) + "</span>";
  }
  body_ += "</figcaption>\n</figure>\n";
}

std::string HtmlPage::str() const {
  std::string page = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  // Were something of the text to pass for markup, it could still neither run nor load anything.
  page += fmt::format(
      "<meta http-equiv=\"Content-Security-Policy\" "
      "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src '{}'\">\n",
      script_hash);
  page +=
      "<title>" + escape_html(title_) + "</title>\n<style>" + std::string(page_style()) + "</style>\n</head>\n<body>\n";
  page += "<h1>" + prose_html(title_) + "</h1>\n";
  if (!contents_.empty()) page += "<nav aria-label=\"Contents\">\n<ul>\n" + contents_ + "</ul>\n</nav>\n";
  return page + "<main>\n" + body_ + "</main>\n<script>" + std::string(page_script()) + "</script>\n</body>\n</html>\n";
}

}  // namespace entk
