// Bytes that projectors take: while they are made, and what stays. Each stands beside the code that allocates it.
#pragma once

#include <cstdint>

namespace entk {

struct ProjectorSizes {
  std::int64_t points = 0;  ///< of a SigmaProjector; of a harmonic one's table 𝓕ᵀφ at the training inputs
  std::int64_t dimension = 0, width = 0, rank = 0;
  bool twins = true;
  int element_size = 4, workers = 1;
};

struct ProjectorBytes {
  double making = 0;  ///< at the peak, beyond X, W0 and a
  double kept = 0;
  double at_work = 0;  ///< for a moment, at each value or gradient of a term
};

/// Of a SigmaProjector: K, then its eigenvectors.
ProjectorBytes sigma_projector_bytes(const ProjectorSizes& sizes);
/// Of K at `rows`×`columns` points, and of SigmaProjector::transfer at `rows` of them, while it is made.
double feature_kernel_bytes(double rows, double columns, const ProjectorSizes& sizes);
/// Of a HarmonicProjector and, where there are points, its table for R3.
ProjectorBytes harmonic_projector_bytes(const ProjectorSizes& sizes);

}  // namespace entk
