#include "entk/experiments/claims.h"

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

}  // namespace

void write_claims(const std::filesystem::path& folder, const std::vector<Claim>& claims) {
  auto list = nlohmann::json::array();
  for (const auto& c : claims) {
    list.push_back({{"source", c.source}, {"statement", c.statement}, {"paper", c.paper}, {"ours", c.ours},
                    {"verdict", to_string(c.verdict)}, {"reason", c.reason}, {"figure", c.figure}});
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
    c.finish();
  }
  reader.finish();
  return claims;
}

}  // namespace entk
