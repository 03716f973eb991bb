// `entk landscape`: a checkpoint, its regularized loss, and whether its W is a second-order stationary
// point.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "entk/runs/claims.h"
#include "entk/runs/problem.h"
#include "entk/runs/study.h"
#include "entk/report/table.h"
#include "entk/theory/landscape.h"

namespace entk {

struct LandscapeStudyOptions {
  std::filesystem::path input;   ///< a run's folder or a checkpoint file
  std::vector<std::string> set;  ///< KEY=VALUE over the checkpoint's configuration
  std::string dtype = "float64", device = "cpu";
  LandscapeOptions landscape;
  int draws = 20;  ///< of S for (31); 0: no Lemma 3
  Catalogue catalogue = built_in_catalogue();
};

/// A checkpoint's W, and everything made again from the configuration beside it, in another floating type
/// if asked for.
struct LandscapePoint {
  Problem problem;
  at::Tensor w;  ///< m×d
  std::vector<std::string> notices;
};
/// @throws InputError for what is no checkpoint, or one whose X, y, W0 or a is not what its configuration
/// gives.
LandscapePoint read_landscape_point(const LandscapeStudyOptions& options);

struct LandscapeStudy {
  nlohmann::json config;  ///< the run's, as it was read here
  Landscape landscape;
  std::optional<LemmaThree> lemma;  ///< where Theorem 2's solution exists for the target
  std::vector<std::string> notices;
  nlohmann::json json;  ///< everything, for landscape.json
  Table table;
  std::vector<Claim> claims;
};

/// @throws what ObjectiveHessian and landscape throw.
LandscapeStudy study_landscape(const LandscapePoint& point, const LandscapeStudyOptions& options);

/// landscape.json, direction.pt (`direction`: the unit Ritz vector, m×d), results.csv,
/// results.md, claims.json and report.html. @throws SaveError
void write_landscape(const std::filesystem::path& folder, const LandscapeStudy& study);

/// Figure 1's least regularized run is what `entk reproduce` looks at.
Stage landscape_stage();

}  // namespace entk
