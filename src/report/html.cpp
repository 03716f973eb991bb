#include "entk/report/html.h"

#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "entk/base/error.h"
#include "entk/report/svg_inline.h"
#include "entk/report/text.h"

namespace entk {

namespace {

constexpr const char* style = R"(
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--quiet:#59636e;--rule:#d5dae0;--wash:#f5f7f9;
--good:#00694d;--bad:#a63d00;--open:#7a5b00;--idle:#59636e}
@media (prefers-color-scheme:dark){:root{--paper:#15181c;--ink:#e4e7eb;--quiet:#9aa4af;--rule:#363d45;
--wash:#1e2329;--good:#4fc79f;--bad:#ff9a5c;--open:#e6c34a;--idle:#9aa4af}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2.5rem 1.25rem 4rem;max-width:54rem;background:var(--paper);color:var(--ink);
font:1rem/1.55 system-ui,sans-serif}
h1,h2,h3,h4{line-height:1.25;margin:2.2em 0 .6em;text-wrap:balance}
h1{font-size:1.9rem;margin-top:0}
h2{font-size:1.4rem;padding-bottom:.25em;border-bottom:1px solid var(--rule)}
h3{font-size:1.12rem}
h4{font-size:1rem}
p{margin:.7em 0;overflow-wrap:break-word}
nav{margin:1.2em 0 2em;padding:.8em 1.2em;background:var(--wash);border-radius:6px;font-size:.95rem}
nav ul{margin:0;padding:0;list-style:none}
nav .inner{padding-left:1.4em}
a{color:inherit;text-decoration-color:var(--quiet)}
.scroll{overflow-x:auto;margin:1.2em 0}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding-bottom:.4em}
th,td{padding:.3em .9em .3em 0;text-align:left;vertical-align:baseline;white-space:nowrap}
thead th{border-top:2px solid var(--ink);border-bottom:1px solid var(--ink);font-weight:600}
tbody tr:last-child td{border-bottom:2px solid var(--ink)}
.number{text-align:right;padding-left:.9em}
figure{margin:1.8em 0;text-align:center}
figure svg{display:block;width:100%;height:auto;margin:0 auto;background:#fff;border-radius:4px}
figcaption{margin-top:.6em;font-size:.92rem;text-align:left}
.source{color:var(--quiet);font-size:.85rem}
pre{margin:1.2em 0;padding:.8em 1em;overflow-x:auto;background:var(--wash);border-radius:6px;
font:.85rem/1.45 ui-monospace,monospace}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2em 1.4em;margin:1.2em 0;font-size:.95rem}
dt{color:var(--quiet)}
dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
.badge{display:inline-block;min-width:10.6em;margin-right:.8em;padding:.05em .7em;border:1px solid;
border-radius:1em;font-size:.85rem;font-weight:600;text-align:center}
.held .badge{color:var(--good)}
.did-not-hold .badge{color:var(--bad)}
.too-small-to-tell .badge{color:var(--open)}
.not-run .badge{color:var(--idle);border-style:dashed}
.claims{width:100%}
.claims th,.claims td{white-space:normal;padding-right:1em}
.claims td{border-bottom:1px solid var(--rule);vertical-align:top}
.claims .badge{min-width:0;margin:0;white-space:nowrap}
@media print{:root{color-scheme:light;--paper:#fff;--ink:#000;--quiet:#444;--rule:#999;--wash:#fff;
--good:#00694d;--bad:#a63d00;--open:#7a5b00;--idle:#444}
body{max-width:none;padding:0;font-size:10pt}
figure,table,pre,.verdict{break-inside:avoid}
h2,h3,h4{break-after:avoid}
.scroll,pre{overflow:visible}
pre{white-space:pre-wrap;border:1px solid var(--rule)}
a{text-decoration:none}}
)";

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

HtmlPage::HtmlPage(const std::string& title) : title_(escape_html(clean_text(title))) {}

void HtmlPage::heading(int level, const std::string& text) {
  if (level < 2 || level > 4) {
    throw InputError(fmt::format("HtmlPage: heading level must be 2, 3 or 4, got {}", level));
  }
  const std::string escaped = escape_html(clean_text(text));
  const std::string id = fmt::format("section-{}", ++headings_);
  body_ += fmt::format("<h{0} id=\"{1}\">{2}</h{0}>\n", level, id, escaped);
  if (level <= 3) {
    contents_ += fmt::format("<li{}><a href=\"#{}\">{}</a></li>\n",
                             level == 3 ? " class=\"inner\"" : "", id, escaped);
  }
}

void HtmlPage::paragraph(const std::string& text) {
  body_ += "<p>" + escape_html(text) + "</p>\n";
}

void HtmlPage::table(const Table& table) {
  // Focus lets the keyboard scroll it.
  body_ += "<div class=\"scroll\" tabindex=\"0\">\n" + to_html(table) + "</div>\n";
}

void HtmlPage::code(const std::string& text) {
  body_ += "<pre><code>" + escape_html(text) + "</code></pre>\n";
}

void HtmlPage::verdict(Verdict verdict, const std::string& text) {
  body_ += fmt::format("<p class=\"verdict {}\">{}{}</p>\n", css_class(verdict), badge(verdict),
                       escape_html(text));
}

void HtmlPage::claims(const std::vector<ClaimLine>& lines) {
  body_ +=
      "<div class=\"scroll\" tabindex=\"0\">\n<table class=\"claims\">\n<thead><tr><th>Verdict</th>"
      "<th>Claim</th><th>Where</th><th>Paper</th><th>Here</th></tr></thead>\n<tbody>\n";
  for (const auto& line : lines) {
    body_ += fmt::format("<tr class=\"{}\"><td>{}</td>", css_class(line.verdict), badge(line.verdict));
    for (const auto* text : {&line.statement, &line.source, &line.paper, &line.ours}) {
      body_ += "<td>" + escape_html(text->empty() ? "–" : *text) + "</td>";
    }
    body_ += "</tr>\n";
  }
  body_ += "</tbody>\n</table>\n</div>\n";
}

void HtmlPage::key_values(const std::vector<std::pair<std::string, std::string>>& pairs) {
  if (pairs.empty()) return;
  body_ += "<dl>\n";
  for (const auto& [key, value] : pairs) {
    body_ += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escape_html(key), escape_html(value));
  }
  body_ += "</dl>\n";
}

void HtmlPage::figure(const FigureFiles& files, const std::string& caption) {
  if (files.svg.empty()) {
    paragraph(caption + " — " + (files.notice.empty() ? "not drawn" : files.notice));
    return;
  }
  std::ifstream file(files.svg, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) throw InputError("HtmlPage: cannot read " + files.svg.string());
  std::string source;
  for (const auto& path : {files.data, files.script}) {
    if (!path.empty()) source += (source.empty() ? "" : ", ") + path.filename().string();
  }
  figure(text.str(), caption, source);
}

void HtmlPage::figure(const std::string& svg, const std::string& caption,
                      const std::string& source) {
  const std::string prefix = fmt::format("figure-{}-", figures_ + 1);
  body_ +=
      "<figure>\n" + inline_svg(svg, prefix, caption) + "\n<figcaption>" + escape_html(caption);
  if (!source.empty()) {
    body_ += " <span class=\"source\">Data and script: " + escape_html(source) + "</span>";
  }
  body_ += "</figcaption>\n</figure>\n";
  ++figures_;
}

std::string HtmlPage::str() const {
  std::string page = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  page += "<title>" + title_ + "</title>\n<style>" + style + "</style>\n</head>\n<body>\n";
  page += "<h1>" + title_ + "</h1>\n";
  if (!contents_.empty())
    page += "<nav aria-label=\"Contents\">\n<ul>\n" + contents_ + "</ul>\n</nav>\n";
  return page + "<main>\n" + body_ + "</main>\n</body>\n</html>\n";
}

}  // namespace entk
