#include "entk/report/html.h"

#include <gtest/gtest.h>

#include "entk/base/error.h"
#include "entk/report/process.h"
#include "entk/report/text.h"
#include "tests/support/browser.h"
#include "tests/support/testing.h"

namespace entk::html_test {
namespace {

using namespace std::chrono_literals;
using testing::TemporaryFolder;
using testing::write_text;

constexpr const char* picture = R"svg(<?xml version="1.0"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg width="528" height="200" viewBox="0 0 528 200" xmlns="http://www.w3.org/2000/svg"
 xmlns:xlink="http://www.w3.org/1999/xlink">
<title>Gnuplot</title><desc>a > b</desc>
<!-- a comment -->
<defs><circle id='dot' r="1"/><use xlink:href='#dot' id='two'/><filter id='box'><feFlood/></filter>
<clipPath id="clip"><rect width="1" height="1"/></clipPath></defs>
<g id="unused" clip-path="url(#clip)"><use xlink:href='#two' style="filter:url(#box)"/></g>
<g id="clip"/><text>1 &lt; 2 &amp; 3</text>
</svg>
)svg";

/// Reads the page with Python's parser; what it complains about, one line each.
std::string complaints(const std::string& page) {
  static constexpr const char* script = R"py(
import base64, hashlib, re, sys, html.parser
void = {'meta', 'br', 'hr', 'img', 'link', 'input'}
class Check(html.parser.HTMLParser):
    stack, ids, links = [], set(), []
    def start(self, tag, attrs, empty):
        for name, value in attrs:
            if name == 'id':
                if value in self.ids: print('twice: id', value)
                self.ids.add(value)
            if name == 'href' or name == 'xlink:href':
                if value[:1] == '#': self.links.append(value[1:])
                elif ':' in value or value[:1] == '/' or '..' in value: print('outside:', value)
            if name != 'src' and 'url(' in value: self.links.append(value.split('url(#')[1].split(')')[0])
            if name == 'src' and not value.startswith('data:image/svg+xml,') or name.startswith('on'):
                print('not allowed:', name)
        if tag in ('link', 'iframe', 'object') or tag == 'script' and attrs: print('not allowed:', tag)
        if not empty and tag not in void: self.stack.append(tag)
    def handle_starttag(self, tag, attrs): self.start(tag, attrs, False)
    def handle_startendtag(self, tag, attrs): self.start(tag, attrs, True)
    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag: print('unbalanced:', tag, self.getpos())
text = open(sys.argv[1], encoding='utf-8').read()
check = Check()
check.feed(text)
check.close()
if check.stack: print('open at the end:', check.stack)
for link in check.links:
    if link not in check.ids: print('leads nowhere:', link)
for script in re.findall('<script[^>]*>(.*?)</script>', text, re.S):
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    if f"script-src 'sha256-{digest}'" not in text: print('the policy lets no script run of sha256-' + digest)
if '://' in re.sub('src="data:[^"]*"', '', text): print('an address outside')
)py";
  const TemporaryFolder folder;
  write_text(folder / "page.html", page);
  const auto run = run_program({ENTK_PYTHON, "-c", script, (folder / "page.html").string()}, folder.path(), 60s);
  return run.output + (run.status == 0 ? "" : "status " + std::to_string(run.status));
}

HtmlPage full_page() {
  HtmlPage page("A <title> & \"more\"");
  page.paragraph("Text with <b>markup</b> & 'quotes'");
  page.heading(2, "Results <i>");
  page.verdict(Verdict::held, "it did < 1");
  page.verdict(Verdict::did_not_hold, "");
  page.verdict(Verdict::too_small_to_tell, "x");
  page.verdict(Verdict::not_run, "x");
  page.heading(3, "Figures");
  page.figure(picture, "One & \"only\"", "fig.dat");
  page.figure(picture, "Two", "");
  page.table({"T<", {"a", "b<"}, {{1, "<td>"}}});
  page.claims({{"Figure <1>", "It is < 1", "", "a & b", Verdict::did_not_hold}});
  page.key_values({{"key <", "value &"}});
  page.key_values({});
  page.heading(4, "Small");
  page.code("for (;;) <x>\n  & 'y'");
  return page;
}

TEST(Html, ThePageIsBalancedClosedAndHasNoLinkToTheOutside) { EXPECT_EQ(complaints(full_page().str()), ""); }

TEST(Html, TheCheckSeesWhatItIsFor) {
  EXPECT_NE(complaints("<p><b></p>"), "");
  EXPECT_NE(complaints("<p id=\"a\"></p><p id=\"a\"></p>"), "");
  EXPECT_NE(complaints("<a href=\"//x/y.html\">x</a>"), "");
  EXPECT_NE(complaints("<a href=\"../x.html\">x</a>"), "");
  EXPECT_NE(complaints("<script>alert(1)</script>"), "");
  EXPECT_NE(complaints("<script src=\"x.js\"></script>"), "");
  EXPECT_NE(complaints("<a href=\"#b\">x</a>"), "");
  EXPECT_NE(complaints("<p>http://x</p>"), "");
  EXPECT_NE(complaints("<img src=\"x.png\">"), "");
}

TEST(Html, EverythingGivenIsEscaped) {
  const std::string page = full_page().str();
  for (const char* raw : {"<title> &", "<b>", "<i>", "<td>\"", "<x>", "key <", "value & ", "T<<"}) {
    EXPECT_EQ(page.find(raw), std::string::npos) << raw;
  }
  EXPECT_NE(page.find("<img alt=\"One &amp; &quot;only&quot;\""), std::string::npos);
  EXPECT_NE(page.find("for (;;) &lt;x&gt;\n  &amp; &#39;y&#39;"), std::string::npos);
}

TEST(Html, VerdictsSayWhatBecameOfTheClaim) {
  const std::string page = full_page().str();
  for (const char* words : {"✓ held", "✗ did not hold", "? too small to tell", "– not run"}) {
    EXPECT_NE(page.find(words), std::string::npos) << words;
  }
}

TEST(Html, ALineOfClaimsHasItsVerdictAndItsTextEscaped) {
  HtmlPage page("x");
  page.claims({{"Figure <1>", "It is < 1", "", "a & b", Verdict::did_not_hold}});
  const std::string text = page.str();
  EXPECT_NE(
      text.find("<tr class=\"did-not-hold\"><td data-name=\"Verdict\"><span class=\"badge\">✗ did not hold</span></td>"
                "<td data-name=\"Claim\">It is &lt; 1</td><td data-name=\"Where\">Figure &lt;1&gt;</td>"
                "<td data-name=\"Paper\">–</td><td data-name=\"Here\">a &amp; b</td></tr>"),
      std::string::npos)
      << text;
}

TEST(Html, TheContentsLeadToTheHeadings) {
  const std::string page = full_page().str();
  EXPECT_NE(page.find("<li><a href=\"#section-1\">Results &lt;i&gt;</a></li>"), std::string::npos);
  EXPECT_NE(page.find("<h2 id=\"section-1\">Results &lt;i&gt;</h2>"), std::string::npos);
  EXPECT_EQ(page.find("href=\"#section-3\""), std::string::npos);  // level 4
  EXPECT_THROW(HtmlPage("x").heading(1, "x"), InputError);
}

TEST(Html, AFigureThatWasNotDrawnSaysWhy) {
  HtmlPage page("x");
  FigureFiles files;
  files.notice = "gnuplot is not on PATH";
  page.figure(files, "Figure 1");
  EXPECT_NE(page.str().find("<p>Figure 1 — gnuplot is not on PATH</p>"), std::string::npos);
  files.svg = "/nonexistent.svg";
  EXPECT_THROW(page.figure(files, "Figure 1"), InputError);
}

TEST(Html, RealFiguresStandBesideEachOther) {
  if (!run_program({"gnuplot", "--version"}, "/", 60s).found) GTEST_SKIP() << "gnuplot is not on PATH";
  const TemporaryFolder folder;
  Panel panel{.series = {{.label = "a", .x = {1, 2}, .y = {1, 2}, .low = {0, 1}, .high = {2, 3}},
                         {.label = "b", .x = {1, 2}, .y = {2, 1}, .style = SeriesStyle::points}}};
  const FigureFiles files = write_figure(folder.path(), "fig", {.panels = {panel, panel}});
  HtmlPage page("x");
  page.figure(files, "one");
  page.figure(files, "two");
  const std::string text = page.str();
  EXPECT_EQ(complaints(text), "");
  EXPECT_NE(text.find("Data and script: fig.dat, fig.gp"), std::string::npos);
}

TEST(Html, APictureIsAnImageOfItsOwnBytesInWhichNothingRuns) {
  HtmlPage page("x");
  const std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert('%41')</script>λ # & ?</svg>";
  page.figure(svg, "one \"two\"", "");
  const std::string text = page.str();
  EXPECT_EQ(complaints(text), "");
  EXPECT_EQ(text.find("<script>alert"), std::string::npos);
  EXPECT_NE(text.find("<img alt=\"one &quot;two&quot;\""), std::string::npos);
  const std::string begin = "src=\"data:image/svg+xml,";
  const auto from = text.find(begin) + begin.size();
  const std::string address = text.substr(from, text.find('"', from) - from);
  std::string back;
  for (std::size_t i = 0; i < address.size(); ++i) {
    back += address[i] == '%' ? static_cast<char>(std::stoi(address.substr(i + 1, 2), nullptr, 16)) : address[i];
    if (address[i] == '%') i += 2;
  }
  EXPECT_EQ(back, svg);
  EXPECT_THROW(page.figure("no picture", "", ""), InputError);
}

TEST(Html, CurvesAnswerInABrowser) {
  if (!run_program({"gnuplot", "--version"}, "/", 60s).found) GTEST_SKIP() << "gnuplot is not on PATH";
  if (!testing::has_browser()) GTEST_SKIP() << "no Chromium is on PATH";
  const TemporaryFolder folder;
  Panel panel{.title = "Loss", .x = {"step", true}};
  panel.series = {{.label = "a", .x = {1, 10, 100}, .y = {1, 10, 5}}, {.label = "b", .x = {1, 100}, .y = {2, 8}}};
  HtmlPage page("x");
  page.figure(write_figure(folder.path(), "fig", {.panels = {panel}}), "Two curves");
  write_text(folder / "page.html", page.str());
  EXPECT_EQ(testing::drive_page(folder / "page.html"), "");
}

Table wide_table() {
  Table table{"T", {}, {{}, {}}, 2};
  for (int c = 0; c < 20; ++c) {
    table.columns.push_back(Column("column" + std::to_string(c)));
    for (int r = 0; r < 2; ++r) table.rows[r].push_back(100 * (r + 1) + c);
  }
  return table;
}

TEST(Html, AWideTableGoesOnBelowWithItsKeys) {
  HtmlPage page("x");
  page.table(wide_table());
  const std::string text = page.str();
  EXPECT_EQ(complaints(text), "");
  const auto count = [&](const std::string& part) {
    int found = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count("<table"), 3);
  EXPECT_EQ(count(">column0<"), 3);
  EXPECT_EQ(count(">column1<"), 3);
  for (int c = 2; c < 20; ++c) {
    EXPECT_EQ(count(">column" + std::to_string(c) + "<"), 1);
    EXPECT_EQ(count(">" + std::to_string(200 + c) + "<"), 1);
  }
}

TEST(Html, PartsOfAWideTableAreOfLikeWidth) {
  const auto parts = split_to_width(wide_table(), 55);
  ASSERT_EQ(parts.size(), 3u);
  for (const auto& part : parts) EXPECT_EQ(part.columns.size(), 8u);  // two keys and a third of eighteen
  EXPECT_EQ(parts[0].title, "T");
  EXPECT_EQ(parts[1].title, "");
  EXPECT_EQ(split_to_width(wide_table(), 1000).size(), 1u);
  EXPECT_EQ(split_to_width(wide_table(), 1).size(), 18u);
}

TEST(Html, WhateverATableHoldsItFitsTheScreenAPhoneAndPaper) {
  if (!testing::has_browser()) GTEST_SKIP() << "no Chromium is on PATH";
  Table table{"Numbers, texts and intervals", {"a model by its name"}, {}, 1};
  for (int c = 0; c < 9; ++c)
    table.columns.push_back(Column(std::string(c % 3 == 2 ? "a long name of column " : "c") + std::to_string(c)));
  for (int r = 0; r < 3; ++r) {
    table.rows.push_back({"one of the models that is row " + std::to_string(r)});
    for (int c = 0; c < 9; ++c) {
      table.rows[r].push_back(c % 3 == 0   ? Cell(Uncertain{-0.123456 * r, 0.000123})
                              : c % 3 == 1 ? Cell(Estimate{-0.517, -0.617, -0.417, "mean"})
                                           : Cell("a text of some words"));
    }
  }
  HtmlPage page("A page with a title that is longer than a line of it, f_L + f_Q, on a phone");
  page.code("entk figure1 --set 'sweep={\"lambda.3\":[0,0.01,0.1,1,10,100]}' --out /a/long/path/" +
            std::string(90, 'x'));
  page.table(table);
  page.table(wide_table());
  page.table({"Runs", {"run", "state", "step"}, {{"train.noise_variance=0.1,model.width=1000,seed=11", "done", 600}}});
  page.verdict(Verdict::held, "It is", {}, {{"Here", std::string(120, 'y')}});
  page.claims({{"Figure 1", "It is so", "0.5", "0.52 (95% interval 0.51 to 0.53, mean over 3 seeds)", Verdict::held}});
  const TemporaryFolder folder;
  write_text(folder / "page.html", page.str());
  EXPECT_EQ(testing::drive_page(folder / "page.html", {"--fits"}), "");
}

TEST(Html, LinksLeadToIdsAndToFilesBesideThePage) {
  HtmlPage page("x");
  page.figure(picture, "Two", "", "figure-a");
  page.heading(2, "Stage", "stage-b");
  page.claims({{"Figure 1", "It is", "", "a", Verdict::held, "#stage-b"}});
  page.verdict(Verdict::held, "it did", {{"figure", "#figure-a"}, {"data", "a.dat"}});
  EXPECT_EQ(complaints(page.str()), "");
  EXPECT_NE(page.str().find("<a href=\"a.dat\">data</a>"), std::string::npos);
  EXPECT_NE(page.str().find("<td data-name=\"Claim\"><a href=\"#stage-b\">It is</a></td>"), std::string::npos);
}

TEST(Text, ProseHasIndicesExponentsAndMinusSigns) {
  EXPECT_EQ(prose_html("f_L + f_Q"), "f<sub>L</sub> + f<sub>Q</sub>");
  EXPECT_EQ(prose_html("‖W‖_{2,4} m^(-1/4)"), "‖W‖<sub>2,4</sub> m<sup>−1/4</sup>");
  EXPECT_EQ(prose_html("L^Q(W*) in log_d(step), λ_min(Λ1)"),
            "L<sup>Q</sup>(W*) in log<sub>d</sub>(step), λ<sub>min</sub>(Λ1)");
  EXPECT_EQ(
      prose_html("R1·√m/d^((k−1)/2), E_n(f_L−f_k)², 10^-3, n_k-th"),
      "R1·√m/d<sup>(k−1)/2</sup>, E<sub>n</sub>(f<sub>L</sub>−f<sub>k</sub>)², 10<sup>−3</sup>, n<sub>k</sub>-th");
  EXPECT_EQ(prose_html("m ≥ n⁴d^(26(k+1)/3)ε_min^(-22/3)"),
            "m ≥ n⁴d<sup>26(k+1)/3</sup>ε<sub>min</sub><sup>−22/3</sup>");
  EXPECT_EQ(prose_html("‖∇L_λ‖ ≲ d^{k-1}"), "‖∇L<sub>λ</sub>‖ ≲ d<sup>k−1</sup>");
  EXPECT_EQ(prose_html("above -0.45, [-1, 2], 2.4e-07"), "above −0.45, [−1, 2], 2.4e−07");
  EXPECT_EQ(prose_html("x_<b>"), "x_&lt;b&gt;");
  for (const char* plain : {"norm_W", "kernel_drift", "lambda.3=0", "--set a", "a/b_c", "x_long_name", "_a", "^2", "a_",
                            "12-34", "f_{open"})
    EXPECT_EQ(prose_html(plain), plain);
}

TEST(Text, BytesThatAreNoTextBecomeReplacementCharacters) {
  EXPECT_EQ(clean_text("a\xC0\x80z"), "a\uFFFD\uFFFDz");        // overlong
  EXPECT_EQ(clean_text("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // surrogate
  EXPECT_EQ(clean_text("\xF0\x9F\x98"), "\uFFFD\uFFFD\uFFFD");  // cut short
  EXPECT_EQ(clean_text("λ日\U0001F600"), "λ日\U0001F600");
  EXPECT_EQ(clean_text("a\tb\nc\x7F\u0085"), "a b c  ");
  EXPECT_EQ(clean_text("a\tb\nc", true), "a\tb\nc");
}

}  // namespace
}  // namespace entk::html_test
