#include "entk/base/group.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace entk {

namespace {

class OneProcess final : public Group {
 public:
  int size() const override { return 1; }
  int rank() const override { return 0; }
  void all_gather(const void* mine, void* all, const std::vector<std::int64_t>& bytes) override {
    if (bytes[0] > 0) std::memcpy(all, mine, static_cast<std::size_t>(bytes[0]));
  }
  void broadcast(void*, std::int64_t, int) override {}
  void barrier() override {}
  Share on_machine() const override { return {0, 1}; }
};

template <class Number>
std::vector<Number> of_all(Number number) {
  std::vector<Number> all(static_cast<std::size_t>(group().size()));
  group().all_gather(&number, all.data(), std::vector<std::int64_t>(all.size(), sizeof number));
  return all;
}

OneProcess alone;
Group* all_of_us = &alone;

}  // namespace

Group& group() { return *all_of_us; }
void use_group(Group& all) { all_of_us = &all; }

std::int64_t agreed(std::int64_t number) {
  group().broadcast(&number, sizeof number);
  return number;
}

std::string agreed(std::string text) {
  text.resize(static_cast<std::size_t>(agreed(static_cast<std::int64_t>(text.size()))));
  group().broadcast(text.data(), static_cast<std::int64_t>(text.size()));
  return text;
}

std::string first_of_all(std::string text) {
  const auto sizes = of_all(text.size());
  const auto first = std::find_if(sizes.begin(), sizes.end(), [](std::size_t size) { return size > 0; });
  if (first == sizes.end()) return "";
  text.resize(*first);
  group().broadcast(text.data(), static_cast<std::int64_t>(*first), static_cast<int>(first - sizes.begin()));
  return text;
}

double largest_of_all(double number) {
  const auto all = of_all(number);
  const auto nan = std::find_if(all.begin(), all.end(), [](double v) { return std::isnan(v); });
  return nan != all.end() ? *nan : *std::max_element(all.begin(), all.end());
}

std::vector<std::int64_t> numbers_of_all(std::int64_t number) { return of_all(number); }

std::vector<double> numbers_of_all(const std::vector<double>& numbers) {
  auto bytes = of_all(static_cast<std::int64_t>(numbers.size() * sizeof(double)));
  std::vector<double> all(static_cast<std::size_t>(std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0})) /
                          sizeof(double));
  group().all_gather(numbers.data(), all.data(), bytes);
  return all;
}

std::int64_t sum_of_all(std::int64_t number) {
  const auto all = of_all(number);
  return std::accumulate(all.begin(), all.end(), std::int64_t{0});
}

Share share_of(std::int64_t count, int rank, int size) {
  const auto border = [&](int r) { return count / size * r + count % size * r / size; };
  return {border(rank), border(rank + 1) - border(rank)};
}

}  // namespace entk
