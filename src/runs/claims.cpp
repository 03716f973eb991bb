#include "entk/runs/claims.h"

#include <fmt/format.h>

#include "entk/base/error.h"
#include "entk/io/atomic_file.h"
#include "entk/io/json_reader.h"
#include "entk/io/strict_json.h"

namespace entk {

namespace {

constexpr Verdict verdicts[] = {Verdict::held, Verdict::did_not_hold, Verdict::too_small_to_tell, Verdict::not_run};

Verdict verdict_named(const JsonReader& reader) {
  std::vector<std::string> names;
  for (const auto verdict : verdicts) names.push_back(to_string(verdict));
  const auto name = reader.get<std::string>("verdict", {.one_of = names});
  for (const auto verdict : verdicts) {
    if (to_string(verdict) == name) return verdict;
  }
  reader.fail("verdict", "a verdict");
}

nlohmann::json to_json(const Evidence& e) {
  nlohmann::json json = {{"of", e.of}, {"from", e.found.from}};
  for (const auto& [key, value] : {std::pair{"value", e.found.value},
                                   {"low", e.found.low},
                                   {"high", e.found.high},
                                   {"at_least", e.at_least},
                                   {"at_most", e.at_most}}) {
    if (std::isfinite(value)) json[key] = value;
  }
  return json;
}

Evidence read_evidence(const JsonReader& reader) {
  Evidence e;
  e.of = reader.get<std::string>("of");
  e.found.from = reader.get<std::string>("from");
  for (const auto& [key, value] : {std::pair{"value", &e.found.value},
                                   {"low", &e.found.low},
                                   {"high", &e.found.high},
                                   {"at_least", &e.at_least},
                                   {"at_most", &e.at_most}}) {
    *value = reader.get_or<double>(key, *value);
  }
  reader.finish();
  return e;
}

}  // namespace

Verdict verdict_of(const std::vector<Evidence>& evidence) {
  bool all_inside = !evidence.empty();
  for (const auto& [of, found, at_least, at_most] : evidence) {
    if (found.has_interval() && (found.high < at_least || found.low > at_most)) return Verdict::did_not_hold;
    all_inside = all_inside && found.has_interval() && found.low >= at_least && found.high <= at_most;
  }
  return all_inside ? Verdict::held : Verdict::too_small_to_tell;
}

Claim judged(Claim claim, bool finished, const std::string& too_small) {
  for (const auto& e : claim.evidence) {
    claim.ours += fmt::format("{}{}: {}", claim.ours.empty() ? "" : "; ", e.of, to_sentence(e.found));
  }
  claim.verdict = !finished            ? Verdict::not_run
                  : !too_small.empty() ? Verdict::too_small_to_tell
                                       : verdict_of(claim.evidence);
  if (!finished) claim.reason += "; not every run is done";
  if (!too_small.empty()) claim.reason += "; " + too_small;
  return claim;
}

std::string size_text(const nlohmann::json& config) {
  static const std::vector<std::pair<const char*, std::vector<const char*>>> keys = {
      {"d", {"/dimensions", "/dimension", "/data/dimension", "/run/data/dimension"}},
      {"n", {"/samples", "/data/samples", "/run/data/samples"}},
      {"m", {"/widths", "/width", "/model/width", "/run/model/width"}},
      {"p", {"/parameters"}},
      {"steps", {"/train/steps", "/run/train/steps"}}};
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  for (const auto& [symbol, places] : keys) {
    for (const char* place : places) {
      const nlohmann::json::json_pointer path(place);
      if (!config.contains(path)) continue;
      const auto& value = config[path];
      if (value.is_null() || value == 0 || (value.is_array() && value.empty()) || value.is_object()) continue;
      const bool list = value.is_array() && value.size() > 1;
      const auto first = value.is_array() ? value.front().dump() : value.dump();
      add(list ? fmt::format("{} = {} … {}", symbol, first, value.back().dump())
               : fmt::format("{} = {}", symbol, first));
      break;  // what a study varies stands before a run's own key
    }
  }
  const auto seeds = config.contains("seeds") && config["seeds"].is_array() ? config["seeds"].size() : 0;
  if (seeds > 0) add(fmt::format("{} seed{}", seeds, seeds == 1 ? "" : "s"));
  return text;
}

void write_claims(const std::filesystem::path& folder, const std::vector<Claim>& claims) {
  auto list = nlohmann::json::array();
  for (const auto& c : claims) {
    list.push_back({{"source", c.source},
                    {"statement", c.statement},
                    {"paper", c.paper},
                    {"ours", c.ours},
                    {"verdict", to_string(c.verdict)},
                    {"reason", c.reason},
                    {"figure", c.figure},
                    {"size", c.size}});
    auto& evidence = list.back()["evidence"] = nlohmann::json::array();
    for (const auto& e : c.evidence) evidence.push_back(to_json(e));
  }
  write_file_atomically(folder / "claims.json", dump_json({{"claims", list}}));
}

std::vector<Claim> read_claims(const std::filesystem::path& folder) {
  const auto file = (folder / "claims.json").string();
  const JsonReader reader(load_json(file), file);
  std::vector<Claim> claims;
  for (const auto& c : reader.objects("claims")) {
    claims.push_back({c.get<std::string>("source"), c.get<std::string>("statement"), c.get<std::string>("paper"),
                      c.get<std::string>("ours"), verdict_named(c), c.get<std::string>("reason"),
                      c.get<std::string>("figure")});
    // A folder from before evidence was kept has none.
    if (c.has("evidence")) {
      for (const auto& e : c.objects("evidence")) claims.back().evidence.push_back(read_evidence(e));
    }
    claims.back().size = c.get_or<std::string>("size", "");  // nor is its size said
    c.finish();
  }
  reader.finish();
  return claims;
}

}  // namespace entk
