// Appendix G: a convolutional network and its Taylor expansions of order 1 and 2, trained side by side
// from one initialisation, and the expansions evaluated at the network's own weights.
#pragma once

#include <functional>
#include <map>

#include "entk/data/images.h"
#include "entk/runs/study.h"

namespace entk {

enum class ImageSource { digits, mnist, cifar10 };
template <>
struct WordsOf<ImageSource> {
  static constexpr std::pair<const char*, ImageSource> all[] = {
      {"digits", ImageSource::digits}, {"mnist", ImageSource::mnist}, {"cifar10", ImageSource::cifar10}};
};

struct ImageDataConfig {
  ImageSource source = ImageSource::digits;
  std::string path;
  std::vector<std::int64_t> classes = {3, 8};
  std::int64_t samples = 0, test_samples = 0;
};

struct ConvolutionConfig {
  std::int64_t blocks = 3, channels = 64;
};

struct SgdConfig {
  double learning_rate = 0.005;
  std::int64_t batch = 64, epochs = 20;
};

struct TaylorStudyConfig {
  ImageDataConfig data;
  ConvolutionConfig model;
  SgdConfig train;
  std::vector<std::int64_t> seeds = {1};
  at::ScalarType dtype = at::kFloat;
  std::string device = "auto";
  std::int64_t threads = 0;
};

template <class V>
void describe(V& v, ImageDataConfig& c) {
  v.value("source", c.source, {}, "digits, mnist or cifar10");
  v.value("path", c.path, {}, "the digits' file, or the folder of MNIST or CIFAR-10; empty: the installed digits");
  v.value("classes", c.classes, {.at_least = 0, .at_most = 9}, "the two classes, labelled +1 and -1");
  v.value("samples", c.samples, {.at_least = 0, .at_most = 1e6}, "training images, the first ones; 0: all");
  v.value("test_samples", c.test_samples, {.at_least = 0, .at_most = 1e6}, "test images, the first ones; 0: all");
}

template <class V>
void describe(V& v, ConvolutionConfig& c) {
  v.value("blocks", c.blocks, {.at_least = 1, .at_most = 5}, "blocks of 3x3 convolution, ReLU, 2x2 average pool");
  v.value("channels", c.channels, {.at_least = 1, .at_most = 4096}, "of every block");
}

template <class V>
void describe(V& v, SgdConfig& c) {
  v.value("learning_rate", c.learning_rate, {.above = 0, .at_most = 1e6}, "of plain SGD");
  v.value("batch", c.batch, {.at_least = 1, .at_most = 1e6}, "images a step, in the order of the data");
  v.value("epochs", c.epochs, {.at_least = 1, .at_most = 1e6}, "passes over the training images");
}

template <class V>
void describe(V& v, TaylorStudyConfig& c) {
  v.object("data", c.data);
  v.object("model", c.model);
  v.object("train", c.train);
  v.value("seeds", c.seeds, {.at_least = 0}, "one run per seed of the weights");
  v.value("dtype", c.dtype, {}, "float32 or float64");
  v.value("device", c.device, {}, "cpu, cuda, cuda:N or auto");
  v.value("threads", c.threads, {.at_least = 0, .at_most = 4096}, "0: all processors");
}

/// @throws InputError naming source, key, value and what was expected.
TaylorStudyConfig read_taylor_study_config(const nlohmann::json& json, const std::string& source);
nlohmann::json to_json(const TaylorStudyConfig& config);
std::vector<KeyInfo> taylor_study_keys();

/// The data of a configuration, in its type, on its device. @throws InputError naming a file that is
/// missing or not what it should be.
DataSet load_images(const TaylorStudyConfig& config);

/// The runs' metrics.csv, column by column: one curve a finished seed, over `epochs`.
struct TaylorCurves {
  std::vector<double> epochs;
  std::map<std::string, std::vector<std::vector<double>>> columns;
  const std::vector<std::vector<double>>& at(const std::string& what, const std::string& of) const {
    return columns.at(what + "_" + of);
  }
};
TaylorCurves read_taylor_curves(const TaylorStudyConfig& config, const std::filesystem::path& folder);
Table taylor_study_table(const TaylorCurves& curves);
/// Training and test loss, training and test error, and the distance to the network, over epochs.
Figure taylor_study_plot(const TaylorCurves& curves);
std::vector<Claim> taylor_study_claims(const TaylorStudyConfig& config, const TaylorCurves& curves);

/// A unit is a seed, in folder/runs/seed=…: metrics.csv and a checkpoint each record, from which it is resumed.
std::vector<Unit> taylor_units(const TaylorStudyConfig& config, const DataSet& data, const TakeContext& context);
Study taylor_study();

}  // namespace entk
