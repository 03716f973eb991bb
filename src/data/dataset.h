// Training, test and unlabeled samples.
#pragma once

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

/// Inputs of a law with f*(x) as labels; float64 on CPU. @throws InputError for impossible sizes.
DataSet draw_data(InputLaw law, const DataOptions& options, const Target& target);
/// Uniform on the sphere of radius √d.
inline DataSet sphere_data(const DataOptions& options, const Target& target) {
  return draw_data(InputLaw::sphere, options, target);
}
/// Standard normal entries.
inline DataSet gaussian_data(const DataOptions& options, const Target& target) {
  return draw_data(InputLaw::gaussian, options, target);
}

/// A user's own: checked for shapes and finite entries, naming the tensor and the first bad index.
DataSet own_data(Samples train, Samples test = {}, at::Tensor unlabeled = {});

}  // namespace entk
