// What the paper claims and what a study measured: each study leaves its claims in claims.json, and
// `entk reproduce` puts them all on one page.
#pragma once

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "entk/report/html.h"
#include "entk/report/statistics.h"

namespace entk {

/// A number that a claim rests on, and where it has to lie for the claim to hold.
struct Evidence {
  std::string of;  ///< "test loss at λ3 = 10 over that at 0"
  Estimate found;
  double at_least = -INFINITY, at_most = INFINITY;
};

/// The one way to a verdict. held: each interval lies inside its bounds; did_not_hold: one lies outside of them;
/// too_small_to_tell: neither, as where there is no interval or no evidence.
Verdict verdict_of(const std::vector<Evidence>& evidence);

struct Claim {
  std::string source{};     ///< where in the paper: "Figure 1", "Theorem 2", "Appendix G"
  std::string statement{};  ///< the claim in one sentence
  std::string paper{};      ///< the paper's value; empty where it gives none
  std::string ours{};       ///< the value measured here
  /// too_small_to_tell for a run that is too small, whatever it gave.
  Verdict verdict = Verdict::not_run;
  std::string reason{};  ///< the criterion, in words: "test loss at λ3 = 10 below half of that at 0"
  std::string figure{};  ///< the plot's name in the study's folder, without .svg; empty: none
  std::vector<Evidence> evidence{};
  std::string size{};  ///< that it was judged at, as size_text; write_study_page sets it
};

/// The claim with the verdict that its evidence gives and the evidence, interval by interval, in `ours`; not_run
/// unless `finished`, too_small_to_tell where `too_small` says why the sizes can decide nothing. Both go into `reason`.
Claim judged(Claim claim, bool finished = true, const std::string& too_small = "");

/// "d = 30, n = 300, m = 1000 … 16000, steps = 40000, 3 seeds": of a study's configuration, what of these it has.
std::string size_text(const nlohmann::json& config);

/// claims.json in a study's folder. @throws SaveError
void write_claims(const std::filesystem::path& folder, const std::vector<Claim>& claims);
/// @throws InputError for a file that is none, or not as write_claims leaves it.
std::vector<Claim> read_claims(const std::filesystem::path& folder);

}  // namespace entk
