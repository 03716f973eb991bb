#include "entk/data/images.h"

#include "entk/base/error.h"
#include "tests/support/errors.h"
#include "tests/support/testing.h"

namespace entk::images_test {
namespace {

using testing::error_of;
using testing::TemporaryFolder;
using testing::write_text;

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string digit_row(int pixel, int digit) {
  std::string row;
  for (int i = 0; i < 64; ++i) row += std::to_string(i == 0 ? pixel : 3) + ",";
  return row + std::to_string(digit) + "\n";
}
std::string digit_rows(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += digit_row(i % 17, i % 3);
  return text;
}

/// "abc\n" compressed.
const std::string gzip_abc(
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x4c\x4a\xe6\x02\x00\x4e\x81\x88\x47\x04\x00\x00\x00", 24);

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
  return bytes;
}
std::string idx_images(std::uint32_t n, std::uint32_t side) {
  return big_endian(0x803) + big_endian(n) + big_endian(side) + big_endian(side) + std::string(n * side * side, '\7');
}
std::string idx_labels(std::uint32_t n) {
  std::string bytes = big_endian(0x801) + big_endian(n);
  for (std::uint32_t i = 0; i < n; ++i) bytes += static_cast<char>(i % 10);
  return bytes;
}

TEST(Digits, ReadsRowsAndSplitsOffTheLastQuarter) {
  const TemporaryFolder folder;
  write_text(folder / "digits.csv", digit_rows(9));
  const auto images = load_digits(folder / "digits.csv");
  EXPECT_EQ(images.train.pixels.sizes(), (at::IntArrayRef{7, 1, 8, 8}));
  EXPECT_EQ(images.test.pixels.size(0), 2);
  EXPECT_EQ(images.train.pixels[5][0][0][0].item<int>(), 5);
  EXPECT_EQ(images.test.labels[0].item<int>(), 7 % 3);
}

TEST(Digits, ThoseThatAreInstalledAreWhole) {
  const auto file = installed_digits();
  if (file.empty()) GTEST_SKIP() << "scikit-learn's digits are not installed";
  const auto images = load_digits(file);
  EXPECT_EQ(images.train.labels.size(0) + images.test.labels.size(0), 1797);
  EXPECT_EQ(images.train.pixels.max().item<int>(), 16);
  const auto data = two_classes(images, {3, 8}, 0, 0);
  EXPECT_EQ(data.train.x.size(0) + data.test.x.size(0), 183 + 174);
}

TEST(Digits, AreRowsThatARunReads) {
  const TemporaryFolder folder;
  const auto file = (folder / "digits.csv").string();
  std::string text;
  for (int i = 0; i < 16; ++i) text += digit_row(i, i % 2 == 0 ? 3 : i % 4);
  write_text(file, text);
  const auto images = two_classes(load_digits(file), {3, 1}, 0, 0);
  const auto data = load_images(file, {.classes = {3, 1}});
  EXPECT_TRUE(data.given);
  EXPECT_EQ(data.train.x.sizes(), (at::IntArrayRef{12, 64}));
  EXPECT_TRUE(torch::equal(data.train.x.view({12, 1, 8, 8}), images.train.x));
  EXPECT_TRUE(torch::equal(data.test.x, images.test.x.flatten(1)));
  EXPECT_TRUE(torch::equal(data.train.y, images.train.y));
  const auto few = load_images(file, {.classes = {3, 1}, .samples = 5, .test_samples = 2, .on_sphere = true});
  EXPECT_EQ(few.train.x.size(0), 5);
  EXPECT_EQ(few.test.x.size(0), 2);
  for (const auto& x : {few.train.x, few.test.x}) {
    EXPECT_LT((x.square().sum(1) - 64).abs().max().item<double>(), 1e-10);
  }
  EXPECT_NEAR(torch::cosine_similarity(few.train.x, few.train.x).min().item<double>(), 1, 1e-12);
  EXPECT_TRUE(contains(error_of([] { load_images("", {.format = "mnist"}); }), "data.file: expected the folder"));
}

TEST(Digits, RefusesTruncatedAndForeignFilesByName) {
  const TemporaryFolder folder;
  const auto file = folder / "digits.csv";
  const auto said = [&](const std::string& text) {
    write_text(file, text);
    const auto message = error_of([&] { load_digits(file); });
    EXPECT_TRUE(contains(message, file.string())) << message;
    return message;
  };
  const auto good = digit_rows(8);
  EXPECT_TRUE(contains(said(good.substr(0, good.size() - 1)), "line 8 is cut off"));
  EXPECT_TRUE(contains(said(good.substr(0, good.size() - 4) + "\n"), "line 8"));
  EXPECT_TRUE(contains(said(good + "1,2,3\n"), "expected 65 whole numbers, got 3"));
  EXPECT_TRUE(contains(said(digit_row(17, 1) + good), "number 1 is '17'"));
  EXPECT_TRUE(contains(said(digit_row(1, 10) + good), "number 65 is '10'"));
  EXPECT_TRUE(contains(said("a,b\n" + good), "line 1"));
  EXPECT_TRUE(contains(said(good.substr(0, good.size() - 3) + ",1,1\n"), "line 8"));
  EXPECT_TRUE(contains(said(""), "0 rows"));
  EXPECT_TRUE(contains(said(std::string(100, '\0')), "line 1 is cut off"));
  EXPECT_TRUE(contains(said(std::string(100, '\xff') + "\n"), "line 1"));
  EXPECT_TRUE(contains(error_of([&] { load_digits(folder / "none.csv"); }), "none.csv"));
}

TEST(Digits, RefusesDamagedGzipByName) {
  const TemporaryFolder folder;
  const auto file = folder / "digits.csv.gz";
  const auto said = [&](const std::string& bytes) {
    write_text(file, bytes);
    return error_of([&] { load_digits(file); });
  };
  EXPECT_TRUE(contains(said(gzip_abc), "line 1"));  // unpacked, and not digits
  EXPECT_TRUE(contains(said(gzip_abc.substr(0, 15)), "truncated"));
  EXPECT_TRUE(contains(said(gzip_abc.substr(0, 20)), "truncated"));
  EXPECT_TRUE(contains(said(gzip_abc + "x"), "stands behind"));
  for (std::size_t at = 10; at < 22; ++at) {
    if (at == 15) continue;  // this bit only pads the last byte of the data
    auto damaged = gzip_abc;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    EXPECT_FALSE(contains(said(damaged), "line 1")) << at;
  }
}

TEST(Mnist, ReadsAPairOfFilesAndRefusesOthers) {
  const TemporaryFolder folder;
  const auto fill = [&] {
    for (const char* set : {"train", "t10k"}) {
      write_text(folder / (std::string(set) + "-images-idx3-ubyte"), idx_images(12, 5));
      write_text(folder / (std::string(set) + "-labels-idx1-ubyte"), idx_labels(12));
    }
  };
  fill();
  const auto images = load_mnist(folder.path());
  EXPECT_EQ(images.train.pixels.sizes(), (at::IntArrayRef{12, 1, 5, 5}));
  EXPECT_EQ(images.test.labels[11].item<int>(), 1);
  const auto said = [&](const std::string& name, const std::string& bytes) {
    fill();
    write_text(folder / name, bytes);
    const auto message = error_of([&] { load_mnist(folder.path()); });
    EXPECT_TRUE(contains(message, name)) << message;
    return message;
  };
  const std::string pixels = "train-images-idx3-ubyte", labels = "t10k-labels-idx1-ubyte";
  EXPECT_TRUE(contains(said(pixels, idx_images(12, 5).substr(0, 200)), "it has 184"));
  EXPECT_TRUE(contains(said(pixels, idx_images(12, 5) + "x"), "it has 301"));
  EXPECT_TRUE(contains(said(pixels, ""), "not an idx file"));
  EXPECT_TRUE(contains(said(pixels, idx_labels(12)), "not an idx file of images"));
  EXPECT_TRUE(contains(
      said(pixels, big_endian(0x803) + big_endian(0xffffffff) + big_endian(0xffffffff) + big_endian(0xffffffff)),
      "header says"));
  EXPECT_TRUE(contains(said(pixels, big_endian(0x803) + big_endian(0) + big_endian(5) + big_endian(5)), "header says"));
  EXPECT_TRUE(contains(said(labels, idx_labels(11)), "11 labels for the 12 images"));
  EXPECT_TRUE(contains(said(labels, idx_images(12, 5)), "not an idx file of labels"));
}

TEST(Cifar10, RefusesWhatIsNotItsSizeOrHasOtherLabels) {
  const TemporaryFolder folder;
  const auto file = folder / "data_batch_1.bin";
  const auto said = [&](const std::string& bytes) {
    write_text(file, bytes);
    const auto message = error_of([&] { load_cifar10(folder.path()); });
    EXPECT_TRUE(contains(message, "data_batch_")) << message;
    return message;
  };
  std::string good(10000 * 3073, '\3');
  EXPECT_TRUE(contains(said(good.substr(1)), "30730000 bytes expected, it has 30729999"));
  good[3073 * 42] = '\12';
  EXPECT_TRUE(contains(said(good), "record 42 has label 10"));
  good[3073 * 42] = '\3';
  EXPECT_TRUE(contains(said(good), "data_batch_2.bin"));  // the first is accepted, the next is missing
}

TEST(TwoClasses, AreStandardisedByTheTrainingImages) {
  torch::manual_seed(2);
  const auto some = [](std::int64_t n) {
    return Images{torch::randint(0, 255, {n, 2, 3, 3}, torch::kUInt8), torch::arange(n).remainder(4)};
  };
  const ImageSet images{some(40), some(20), "some"};
  const auto data = two_classes(images, {2, 1}, 0, 5);
  EXPECT_EQ(data.train.x.size(0), 20);
  EXPECT_EQ(data.test.x.size(0), 5);
  EXPECT_EQ(data.train.y[0].item<double>(), -1);  // the first of the two in the file is of class 1
  EXPECT_EQ(data.train.y[1].item<double>(), 1);
  for (int channel = 0; channel < 2; ++channel) {
    EXPECT_NEAR(data.train.x.select(1, channel).mean().item<double>(), 0, 1e-12);
    EXPECT_NEAR(data.train.x.select(1, channel).square().mean().item<double>(), 1, 1e-12);
  }
  EXPECT_THROW(two_classes(images, {2, 2}, 0, 0), InputError);
  EXPECT_THROW(two_classes(images, {2, 9}, 0, 0), InputError);

  const auto refused = [&](const Images& train, const Images& test, std::int64_t samples = 0) {
    return error_of([&] { two_classes({train, test, "some"}, {2, 1}, samples, 0); });
  };
  const auto& [train, test, name] = images;
  EXPECT_TRUE(
      contains(refused({}, test), "training pixels: expected Byte of shape [n, channels, height, width], got nothing"));
  EXPECT_TRUE(contains(refused({train.pixels.flatten(1), train.labels}, test), "got Byte of shape [40, 18]"));
  EXPECT_TRUE(
      contains(refused({train.pixels.to(torch::kFloat), train.labels}, test), "got Float of shape [40, 2, 3, 3]"));
  EXPECT_TRUE(contains(refused({train.pixels, train.labels.slice(0, 1)}, test),
                       "training labels: expected a vector of length 40"));
  EXPECT_TRUE(contains(refused({train.pixels, train.labels.to(torch::kDouble)}, test),
                       "training labels: expected Long, got Double"));
  EXPECT_TRUE(contains(refused(train, {test.pixels.slice(3, 1), test.labels}),
                       "test pixels: expected images like the training ones"));
  EXPECT_TRUE(contains(refused(train, test, -1), "samples: expected at least 0, got -1"));
}

}  // namespace
}  // namespace entk::images_test
