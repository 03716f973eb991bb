// What the paper claims and what a study measured: each study leaves its claims in claims.json, and
// `entk reproduce` puts them all on one page.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "entk/report/html.h"

namespace entk {

struct Claim {
  std::string source;     ///< where in the paper: "Figure 1", "Theorem 2", "Appendix G"
  std::string statement;  ///< the claim in one sentence
  std::string paper;      ///< the paper's value; empty where it gives none
  std::string ours;       ///< the value measured here
  /// too_small_to_tell for a run that is too small, whatever it gave.
  Verdict verdict = Verdict::not_run;
  std::string reason;     ///< the criterion, in words: "test loss at λ3 = 10 below half of that at 0"
  std::string figure;     ///< the plot's name in the study's folder, without .svg; empty: none
};

/// claims.json in a study's folder. @throws SaveError
void write_claims(const std::filesystem::path& folder, const std::vector<Claim>& claims);
/// @throws InputError for a file that is none, or not as write_claims leaves it.
std::vector<Claim> read_claims(const std::filesystem::path& folder);

}  // namespace entk
