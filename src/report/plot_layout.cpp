#include "entk/report/plot_layout.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "entk/report/plot_text.h"

namespace entk::plot {

namespace {

constexpr double page_width = 5.5;                   // inches: a column of text
constexpr double least_frame = 0.9;                  // inches that a frame is wide, if it has a neighbour
constexpr double right_margin = 1.1 * em;            // half of a label of three digits below the end of an axis
constexpr double sample = 1.6 * em, gap = 0.4 * em;  // a legend's piece of line, and what is between it and its text
constexpr std::size_t most_at_ends = 6;
constexpr double widest_at_ends = 11;  // em

enum class Place { nowhere, ends, beside };  // of a panel's names: at its curves' ends, or as a list

bool same(const Series& a, const Series& b) {
  return a.label.text == b.label.text && a.label.rich == b.label.rich && a.style == b.style && a.color == b.color &&
         a.dash == b.dash;
}

bool is_shown(const Scale& x, const Scale& y, const Series& s, std::size_t i) {
  return x.shows(s.x[i]) && y.shows(s.y[i]);
}

// The series that have a name, and something drawn or no data at all: those stand for what others have in common.
std::vector<std::size_t> named(const Panel& panel, const Scale& x, const Scale& y) {
  std::vector<std::size_t> names;
  for (std::size_t s = 0; s < panel.series.size(); ++s) {
    const Series& series = panel.series[s];
    bool any = series.x.empty();
    for (std::size_t i = 0; i < series.x.size() && !any; ++i) any = is_shown(x, y, series, i);
    if (any && !series.label.text.empty()) names.push_back(s);
  }
  return names;
}

double row_em(const Panel& panel, const std::vector<std::size_t>& names) {
  const bool raised = std::any_of(names.begin(), names.end(), [&](std::size_t s) {
    const Label& label = panel.series[s].label;
    return label.rich && label.text.find_first_of("^_") != std::string::npos;
  });
  return raised ? 1.65 : 1.35;
}

double widest_em(const Panel& panel, const std::vector<std::size_t>& names) {
  double widest = 0;
  for (const auto s : names) widest = std::max(widest, label_em(panel.series[s].label));
  return widest;
}

struct Point {
  double x = -1, y = -1;  ///< parts of the frame
};

Point end_of(const Series& s, const Scale& x, const Scale& y) {
  Point end;
  for (std::size_t i = 0; i < s.x.size(); ++i) {
    if (is_shown(x, y, s, i) && x.part(s.x[i]) >= end.x) end = {x.part(s.x[i]), y.part(s.y[i])};
  }
  return end;
}

// Centres at least `room` apart between 0 and `top`, as near to the wanted ones (in ascending order) as may be: those
// that would collide share the mean of what they want.
std::vector<double> spread(const std::vector<double>& wanted, double room, double top) {
  struct Block {
    double center;
    std::size_t count;
  };
  std::vector<Block> blocks;
  const auto half = [&](const Block& b) { return 0.5 * room * static_cast<double>(b.count); };
  for (const double y : wanted) {
    Block block{y, 1};
    for (;;) {
      block.center = std::clamp(block.center, half(block), std::max(half(block), top - half(block)));
      if (blocks.empty() || blocks.back().center + half(blocks.back()) <= block.center - half(block)) break;
      const Block below = blocks.back();
      blocks.pop_back();
      const auto a = static_cast<double>(below.count), b = static_cast<double>(block.count);
      block = {(a * below.center + b * block.center) / (a + b), below.count + block.count};
    }
    blocks.push_back(block);
  }
  std::vector<double> centers;
  for (const Block& b : blocks) {
    for (std::size_t i = 0; i < b.count; ++i)
      centers.push_back(b.center - half(b) + room * (static_cast<double>(i) + 0.5));
  }
  return centers;
}

/// Everything about one figure on its way to a layout.
class Maker {
 public:
  explicit Maker(const Figure& figure) : figure_(figure), count_(figure.panels.size()) {}

  Layout make() {
    const int wish = figure_.columns > 0 ? figure_.columns : 3;
    columns_ = std::min<std::size_t>(static_cast<std::size_t>(wish), count_);
    while (set_columns() < least_frame && columns_ > 1) --columns_;
    place_panels();
    return std::move(layout_);
  }

 private:
  std::size_t rows() const { return (count_ + columns_ - 1) / columns_; }
  bool is_last_of_row(std::size_t p) const { return p + 1 == count_ || (p + 1) % columns_ == 0; }

  // Margins for this number of columns; returns the width of a frame.
  double set_columns() {
    layout_.width = page_width;
    layout_.x.clear(), layout_.y.clear(), names_.clear();
    // Ticks depend on the frames' size and the margins on the ticks: ticks are made for a rough size.
    const double rough = 0.75 * page_width / static_cast<double>(columns_);
    for (const Panel& panel : figure_.panels) {
      layout_.x.push_back(scale_x(panel, 0.85 * rough));
      layout_.y.push_back(scale_y(panel, std::min(0.8 * rough, 2.6)));
      names_.push_back(named(panel, layout_.x.back(), layout_.y.back()));
    }
    place_names();
    left_.assign(columns_, 0), right_.assign(columns_, right_margin);
    bottom_.assign(rows(), 0), top_.assign(rows(), 0);
    const auto widen = [](double& margin, double least) { margin = std::max(margin, least); };
    for (std::size_t p = 0; p < count_; ++p) {
      const Panel& panel = figure_.panels[p];
      widen(left_[p % columns_], y_label_distance(layout_.y[p]) + em * (panel.y.label.text.empty() ? -0.3 : 0.95));
      widen(bottom_[p / columns_], panel.x.label.text.empty() ? 1.8 * em : x_label_distance + 0.95 * em);
      widen(top_[p / columns_], em * (panel.title.text.empty() ? 0.7 : 1.9));
      // In a last row that is not full the place beside it is free.
      if (places_[p] != Place::nowhere && !(p + 1 == count_ && p % columns_ + 1 < columns_ && p > 0))
        widen(right_[p % columns_], sample + gap + em * (widest_em(panel, names_[p]) + 0.6));
    }
    const double beside =
        std::accumulate(left_.begin(), left_.end(), 0.0) + std::accumulate(right_.begin(), right_.end(), 0.0);
    return frame_width_ = (page_width - beside) / static_cast<double>(columns_);
  }

  // All that any panel names, in one panel: the panel, or count_ where they differ.
  std::size_t fullest() const {
    std::size_t full = 0;
    for (std::size_t p = 0; p < count_; ++p) {
      if (names_[p].size() > names_[full].size()) full = p;
    }
    const Panel& all = figure_.panels[full];
    for (std::size_t p = 0; p < count_; ++p) {
      for (const auto s : names_[p]) {
        if (std::none_of(names_[full].begin(), names_[full].end(),
                         [&](std::size_t t) { return same(all.series[t], figure_.panels[p].series[s]); }))
          return count_;
      }
    }
    return full;
  }

  bool end_at_the_right(std::size_t p) const {
    const auto& names = names_[p];
    return names.size() <= most_at_ends && std::all_of(names.begin(), names.end(), [&](std::size_t s) {
             return end_of(figure_.panels[p].series[s], layout_.x[p], layout_.y[p]).x > 0.85;
           });
  }

  // One legend where one panel names all: at the ends of the curves of each row's last panel, or below all panels.
  // Else each panel's own at its right.
  void place_names() {
    places_.assign(count_, Place::nowhere);
    strip_ = fullest();
    if (strip_ < count_) {
      bool at_ends = widest_em(figure_.panels[strip_], names_[strip_]) <= widest_at_ends, whole = false;
      for (std::size_t p = 0; p < count_; ++p) {
        if (!is_last_of_row(p)) continue;
        at_ends = at_ends && end_at_the_right(p);
        whole = whole || names_[p].size() == names_[strip_].size();
      }
      if (!at_ends || !whole) return;
      for (std::size_t p = 0; p < count_; ++p) {
        if (is_last_of_row(p) && !names_[p].empty()) places_[p] = Place::ends;
      }
    } else {
      for (std::size_t p = 0; p < count_; ++p) {
        if (!names_[p].empty()) places_[p] = end_at_the_right(p) ? Place::ends : Place::beside;
      }
    }
    strip_ = count_;
  }

  void place_panels() {
    double frame_height = std::clamp(0.78 * frame_width_, 1.0, 2.6);
    for (std::size_t p = 0; p < count_; ++p) {
      if (places_[p] == Place::nowhere) continue;
      const auto rows_here = static_cast<double>(names_[p].size());
      frame_height = std::max(frame_height, em * rows_here * row_em(figure_.panels[p], names_[p]));
    }
    layout_.height = place_strip() + std::accumulate(bottom_.begin(), bottom_.end(), 0.0) +
                     std::accumulate(top_.begin(), top_.end(), 0.0) + static_cast<double>(rows()) * frame_height;
    for (auto& entry : layout_.entries) entry.y = entry.from_y = entry.y / layout_.height;
    double y = layout_.height;
    for (std::size_t r = 0; r < rows(); ++r) {
      double x = 0;
      y -= top_[r];
      for (std::size_t c = 0; c < columns_ && r * columns_ + c < count_; ++c) {
        x += left_[c];
        layout_.boxes.push_back(
            {x / page_width, (x + frame_width_) / page_width, (y - frame_height) / layout_.height, y / layout_.height});
        place_beside(r * columns_ + c, x, y - frame_height, frame_height);
        x += frame_width_ + right_[c];
      }
      y -= frame_height + bottom_[r];
    }
  }

  // A panel's names at its right; the frame's left and bottom edge in inches.
  void place_beside(std::size_t p, double left, double bottom, double frame_height) {
    if (places_[p] == Place::nowhere) return;
    const Panel& panel = figure_.panels[p];
    const double room = em * row_em(panel, names_[p]), right = left + frame_width_;
    std::vector<std::pair<double, std::size_t>> ends;  // in inches above the frame's lower edge
    for (const auto s : names_[p]) {
      const bool at_end = places_[p] == Place::ends;
      ends.emplace_back(at_end ? frame_height * end_of(panel.series[s], layout_.x[p], layout_.y[p]).y
                               : frame_height - room * (static_cast<double>(ends.size()) + 0.5),
                        s);
    }
    std::stable_sort(ends.begin(), ends.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<double> wanted;
    for (const auto& [y, s] : ends) wanted.push_back(y);
    const auto centers = spread(wanted, room, frame_height);
    for (std::size_t i = 0; i < ends.size(); ++i) {
      const auto& [y, s] = ends[i];
      const bool leads = places_[p] == Place::ends;
      const double from =
          leads ? left + frame_width_ * end_of(panel.series[s], layout_.x[p], layout_.y[p]).x : right + gap;
      layout_.entries.push_back({p, s, leads, from / page_width, (bottom + (leads ? y : centers[i])) / layout_.height,
                                 (right + sample) / page_width, (bottom + centers[i]) / layout_.height,
                                 (right + sample + gap) / page_width});
    }
  }

  // The legend below all panels: one row in the middle if it fits, else a grid of equal columns. y is left in inches.
  // Returns its height.
  double place_strip() {
    if (strip_ == count_ || names_[strip_].empty()) return 0;
    const Panel& panel = figure_.panels[strip_];
    const auto& names = names_[strip_];
    const double between = 1.6 * em, row = em * row_em(panel, names);
    std::vector<double> widths;
    for (const auto s : names) widths.push_back(sample + gap + em * label_em(panel.series[s].label) + between);
    std::size_t columns = names.size();
    if (std::accumulate(widths.begin(), widths.end(), -between) > page_width) {
      const double widest = *std::max_element(widths.begin(), widths.end());
      const auto fit = static_cast<std::size_t>(std::max(1.0, (page_width + between) / widest));
      const std::size_t lines = (names.size() + fit - 1) / fit;
      columns = (names.size() + lines - 1) / lines;
      widths.assign(columns, widest);
    }
    const std::size_t lines = (names.size() + columns - 1) / columns;
    const double left = (page_width - std::accumulate(widths.begin(), widths.end(), -between)) / 2;
    double x = left;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (i % columns == 0) x = left;
      const double y = 0.4 * em + row * (static_cast<double>(lines - i / columns) - 0.5);
      layout_.entries.push_back(
          {strip_, names[i], false, x / page_width, y, (x + sample) / page_width, y, (x + sample + gap) / page_width});
      x += widths[i % columns];
    }
    return 0.4 * em + row * static_cast<double>(lines);
  }

  const Figure& figure_;
  const std::size_t count_;
  std::size_t columns_ = 1, strip_ = 0;  ///< the panel whose names stand below all; count_: none
  double frame_width_ = 0;
  Layout layout_;
  std::vector<std::vector<std::size_t>> names_;      // by panel
  std::vector<Place> places_;                        // by panel
  std::vector<double> left_, right_, bottom_, top_;  // inches around the frames, the widest of each column and row
};

}  // namespace

double y_label_distance(const Scale& scale) { return em * (1.7 + scale.label_em()); }

Layout make_layout(const Figure& figure) { return Maker(figure).make(); }

int color_index(const Figure& figure, std::size_t panel, std::size_t series) {
  const Series& own = figure.panels[panel].series[series];
  if (own.color) return *own.color;
  if (own.style == SeriesStyle::reference) return -1;
  if (own.label.text.empty() || own.x.empty()) return -2;
  std::vector<std::string> labels;
  for (const Panel& p : figure.panels) {
    for (const Series& s : p.series) {
      if (s.color || s.style == SeriesStyle::reference || s.label.text.empty() || s.x.empty()) continue;
      const auto found = std::find(labels.begin(), labels.end(), s.label.text);
      if (s.label.text == own.label.text) return static_cast<int>(found - labels.begin());
      if (found == labels.end()) labels.push_back(s.label.text);
    }
  }
  return -2;
}

}  // namespace entk::plot
