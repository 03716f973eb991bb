// Images from the files that people have: the handwritten digits that scikit-learn ships (1797 of 8×8),
// MNIST's idx files, CIFAR-10's binary files.
//
// A file that is truncated, longer than it says, or of another kind is refused by name.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "entk/data/dataset.h"

namespace entk {

/// Images of all classes in the order of their files.
struct Images {
  at::Tensor pixels;  ///< n×channels×height×width, uint8
  at::Tensor labels;  ///< n, int64
};
struct ImageSet {
  Images train, test;
  std::string description;
};

/// scikit-learn's digits.csv, plain or compressed by gzip: 65 whole numbers a row, 64 pixels of 0 … 16
/// and the digit. The last quarter of the rows is the test set. @throws InputError
ImageSet load_digits(const std::filesystem::path& file);
/// Where setup.sh put digits.csv.gz when entk was built; empty where there is none.
std::filesystem::path installed_digits();

/// train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte in a
/// folder, each plain or with .gz behind. @throws InputError
ImageSet load_mnist(const std::filesystem::path& folder);

/// data_batch_1.bin … data_batch_5.bin and test_batch.bin in a folder: 10000 records each of a label and
/// 3×32×32 pixels. @throws InputError
ImageSet load_cifar10(const std::filesystem::path& folder);

/// The images of two classes with labels +1 and −1, each channel standardised by the training images'
/// mean and standard deviation; x: n×channels×height×width, y: n, float64. At most `samples` and
/// `test_samples` of each set, the first ones; 0: all. @throws InputError where a class has no image.
DataSet two_classes(const ImageSet& images, std::pair<std::int64_t, std::int64_t> classes, std::int64_t samples,
                    std::int64_t test_samples);

/// Which images a run reads, and how.
struct ImageOptions {
  std::string format = "digits";                        ///< digits, mnist or cifar10
  std::pair<std::int64_t, std::int64_t> classes{3, 8};  ///< labelled +1 and −1
  std::int64_t samples = 0, test_samples = 0;           ///< at most, the first ones; 0: all
  bool on_sphere = false;                               ///< each image x becomes √d x/‖x‖
};
/// two_classes() of digits in `file`, or of MNIST or CIFAR-10 in the folder `file`, a row of d = channels·height·width
/// pixels each. Without a file: the installed digits. @throws InputError
DataSet load_images(const std::string& file, const ImageOptions& options);

}  // namespace entk
