#include "entk/data/entries.h"

#include "entk/base/sphere.h"
#include "entk/data/images.h"
#include "entk/data/index_targets.h"

namespace entk {

namespace {

Polynomial read_polynomial(const JsonReader& reader, std::int64_t dimension) {
  Polynomial p;
  p.constant = reader.get_or<double>("constant", 0.0);
  p.linear = reader.get_or<std::vector<double>>("linear", {});
  if (reader.has("monomials")) {
    for (const auto& m : reader.objects("monomials")) {
      p.monomials.push_back({m.get_or<double>("coefficient", 1.0), m.get<std::vector<std::int64_t>>("variables")});
    }
  }
  p.check(dimension);
  return p;
}

Target read_low_degree_plus_sparse(const Parameters& p, const TargetSetting& s) {
  LowDegreePlusSparse options;
  options.dimension = s.dimension;
  options.law = s.law;
  options.seed = s.seed;
  options.degree = static_cast<int>(p.get<std::int64_t>("degree"));
  options.alphas = p.get<std::vector<double>>("alphas");
  const auto& reader = p.reader();
  if (p.has("betas")) options.betas = read_rows(reader, "betas");
  if (p.has("low_degree")) options.low_degree = read_polynomial(reader.object("low_degree"), s.dimension);
  return low_degree_plus_sparse(options);
}

Target read_multi_index(const Parameters& p, const TargetSetting& s) {
  std::vector<IndexTerm> terms;
  for (const auto& term : p.reader().objects("terms")) {
    terms.push_back({term.get_or<double>("coefficient", 1.0), term.get<std::vector<std::int64_t>>("degrees")});
  }
  return multi_index_target(s.dimension, s.law, s.seed, terms);
}

DataSource read_images(const Parameters& p) {
  const auto classes = p.get<std::vector<std::int64_t>>("classes");
  if (classes.size() != 2 || classes[0] == classes[1]) p.reader().fail("classes", "two different classes");
  const ImageOptions options{.format = p.get<std::string>("format"),
                             .classes = {classes[0], classes[1]},
                             .samples = p.get<std::int64_t>("samples"),
                             .test_samples = p.get<std::int64_t>("test_samples"),
                             .on_sphere = p.get<bool>("on_sphere")};
  DataSource source;
  source.load = [options](const std::string& file) { return load_images(file, options); };
  return source;
}

}  // namespace

std::vector<std::vector<double>> read_rows(const JsonReader& reader, const std::string& key) {
  std::vector<std::vector<double>> rows;
  const auto& list = reader.any(key);
  if (!list.is_array()) reader.fail(key, "a list of lists of numbers");
  for (const auto& row : list) {
    if (!row.is_array()) reader.fail(key, "a list of lists of numbers");
    rows.emplace_back();
    for (const auto& entry : row) {
      if (!entry.is_number()) reader.fail(key, "a list of lists of numbers");
      rows.back().push_back(entry.get<double>());
    }
  }
  return rows;
}

const std::vector<DataSourceEntry>& built_in_data_sources() {
  static const std::vector<DataSourceEntry> all = {
      {"sphere",
       "uniform on the sphere of radius sqrt(d)",
       {},
       [](const Parameters&) { return data_source(InputLaw::sphere); }},
      {"gaussian", "standard normal entries", {}, [](const Parameters&) { return data_source(InputLaw::gaussian); }},
      {"hypercube",
       "independent entries 1 and -1",
       {},
       [](const Parameters&) {
         DataSource source;
         source.draw = [](const DataSetting& s) {
           return Samples{random_signs(s.samples * s.dimension, s.stream).view({s.samples, s.dimension}), {}};
         };
         return source;
       }},
      {"file",
       "X, y and, if there, X_test, y_test, X_unlabeled of data.file, a .pt file",
       {},
       [](const Parameters&) {
         DataSource source;
         source.load = load_data;
         return source;
       }},
      {"images",
       "two classes of images in data.file, labelled +1 and -1, their pixels standardised",
       {{"format", "digits", {.one_of = {"digits", "mnist", "cifar10"}}, "of scikit-learn's file, or of a folder"},
        {"classes", nlohmann::json::array({3, 8}), {.at_least = 0, .at_most = 9}},
        {"samples", 0, {.at_least = 0, .at_most = 1e6}, "training images, the first ones; 0: all"},
        {"test_samples", 0, {.at_least = 0, .at_most = 1e6}, "test images, the first ones; 0: all"},
        {"on_sphere", false, {}, "true: each image scaled to norm sqrt(d)"}},
       read_images}};
  return all;
}

const std::vector<TargetEntry>& built_in_targets() {
  static const std::vector<TargetEntry> all = {
      {"figure1",
       "((b.x)^2 - 1 + b.x)/sqrt(3), as Figure 1 was run",
       {},
       [](const Parameters&, const TargetSetting& s) { return figure1_target(s.dimension, s.law, s.seed); }},
      {"figure1_text",
       "x_1 - 1 + (b.x)^2, as the text says it",
       {},
       [](const Parameters&, const TargetSetting& s) { return figure1_text_target(s.dimension, s.law, s.seed); }},
      {"figure2",
       "a quadratic of half the coordinates and a cubic of b.x",
       {{"exact_scale", false, {}, "true: the quadratic scaled at every d, not at d = 50 alone"}},
       [](const Parameters& p, const TargetSetting& s) {
         return figure2_target(s.dimension, p.get<bool>("exact_scale"), s.seed);
       }},
      {"low_degree_plus_sparse",
       "Assumption 1: a polynomial of degree k and powers k + 1 of some b_i.x",
       {{"degree", 1, {.at_least = 1, .at_most = 8}, "k"},
        {"alphas", nlohmann::json::array({1.0}), {}, "one a direction, |alpha| <= 1"},
        {"betas", nullptr, {}, "directions, each a list of d numbers; without: random"},
        {"low_degree", nullptr, {}, "{constant, linear, monomials}; without: random"}},
       read_low_degree_plus_sparse},
      {"single_index",
       "sum of coefficients[k] h_k(b.x), h_k the normalised Hermite polynomials",
       {{"coefficients", nlohmann::json::array({0.0, 0.0, 1.0}), {}, "from degree 0"},
        {"beta", nlohmann::json::array(), {}, "b, d numbers; without: random"}},
       [](const Parameters& p, const TargetSetting& s) {
         return single_index_target(s.dimension, s.law, s.seed, p.get<std::vector<double>>("coefficients"),
                                    p.get<std::vector<double>>("beta"));
       }},
      {"multi_index",
       "sum of products of h_k(b_i.x), b_i random and orthonormal",
       {{"terms", nullptr, {}, "list of {coefficient, degrees}, degrees being k of each b_i: [{\"degrees\": [1, 1]}]"}},
       read_multi_index},
      {"staircase",
       "(x_1 + x_1 x_2 + ... + x_1 ... x_steps)/sqrt(steps)",
       {{"steps", 3, {.at_least = 1, .at_most = 60}}},
       [](const Parameters& p, const TargetSetting& s) {
         return staircase_target(s.dimension, s.law, p.get<std::int64_t>("steps"));
       }},
      {"parity",
       "sign(x_1 ... x_degree), 1 or -1",
       {{"degree", 2, {.at_least = 1, .at_most = 1e7}}},
       [](const Parameters& p, const TargetSetting& s) {
         return parity_target(s.dimension, p.get<std::int64_t>("degree"));
       }}};
  return all;
}

}  // namespace entk
