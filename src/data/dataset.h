// Training, test and unlabeled samples.
#pragma once

#include <functional>
#include <optional>

#include "entk/data/targets.h"

namespace entk {

/// Inputs and their labels.
struct Samples {
  at::Tensor x;  ///< n×d
  at::Tensor y;  ///< n
};

/// What a run reads. Two different sets never share random numbers.
struct DataSet {
  Samples train;                    ///< what is fitted
  Samples test;                     ///< undefined tensors where there is none
  at::Tensor unlabeled;             ///< N×d, undefined where there is none
  InputLaw law = InputLaw::sphere;  ///< of the inputs
  bool given = false;               ///< y is the source's own, not a target's values
  std::string target;               ///< in words
  double zero_model_loss = 0;       ///< E f*², NaN where no closed form is known

  /// The same on another device and in another floating type.
  DataSet to(at::Device device, at::ScalarType dtype) const;
};

/// How much is drawn.
struct DataOptions {
  std::int64_t dimension;              ///< d
  std::int64_t samples;                ///< n
  std::int64_t test_samples = 10000;   ///< 0: no test set
  std::int64_t unlabeled_samples = 0;  ///< N, for a projector of unlabeled points
  std::uint64_t seed = 1;              ///< of the inputs
};

/// One sample that a source is asked for: training, test, unlabeled or fresh inputs, each with its own numbers.
struct DataSetting {
  std::int64_t dimension = 0;  ///< d
  std::int64_t samples = 0;    ///< rows of X
  RandomStream stream;         ///< for sphere_points, gaussian_points and the like
  std::uint64_t seed = 0;      ///< made of the stream, for generators of another kind
};

/// Where points come from: `draw` or `load`.
struct DataSource {
  /// X: samples×d, and y: samples, or undefined where it is the target's to say.
  std::function<Samples(const DataSetting&)> draw{};
  /// All of a file's samples; their sizes are the file's.
  std::function<DataSet(const std::string& file)> load{};
  std::optional<InputLaw> law{};  ///< that X is of, where it is of one

  /// The law whose closed forms a target is scaled by.
  InputLaw nearest_law() const { return law.value_or(InputLaw::gaussian); }
};
/// Inputs of a law.
DataSource data_source(InputLaw law);

/// X of one sample; float64 on CPU. @throws InputError where the source gives another shape or values that are not
/// finite.
Samples draw_samples(const DataSource& source, std::int64_t rows, std::int64_t dimension, const RandomStream& stream);
/// A source's samples, with f*(x) as labels where it has none; float64 on CPU. @throws InputError for impossible sizes.
DataSet draw_data(const DataSource& source, const DataOptions& options, const Target& target);
/// Uniform on the sphere of radius √d.
inline DataSet sphere_data(const DataOptions& options, const Target& target) {
  return draw_data(data_source(InputLaw::sphere), options, target);
}
/// Standard normal entries.
inline DataSet gaussian_data(const DataOptions& options, const Target& target) {
  return draw_data(data_source(InputLaw::gaussian), options, target);
}

/// A user's own, X a row a point (of any shape, where the model takes others than vectors): checked for shapes and
/// finite entries, naming the tensor and the first bad index.
DataSet own_data(Samples train, Samples test = {}, at::Tensor unlabeled = {});
/// The same from a .pt file with X, y and, if there, X_test, y_test, X_unlabeled. @throws InputError
DataSet load_data(const std::string& file);

}  // namespace entk
