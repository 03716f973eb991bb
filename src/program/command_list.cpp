#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "entk/program/commands.h"
#include "entk/io/strict_json.h"
#include "entk/report/table.h"

namespace entk::app {

namespace {

std::string range_text(const Range& r) {
  std::vector<std::string> parts;
  if (r.at_least) parts.push_back(fmt::format(">= {}", *r.at_least));
  if (r.above) parts.push_back(fmt::format("> {}", *r.above));
  if (r.at_most) parts.push_back(fmt::format("<= {}", *r.at_most));
  if (r.below) parts.push_back(fmt::format("< {}", *r.below));
  if (!r.one_of.empty()) parts.push_back(fmt::format("one of {}", fmt::join(r.one_of, ", ")));
  return fmt::format("{}", fmt::join(parts, ", "));
}

nlohmann::json as_json(const KindInfo& kind) {
  auto entries = nlohmann::json::array();
  for (const auto& e : kind.entries) {
    auto parameters = nlohmann::json::array();
    for (const auto& p : e.parameters) {
      parameters.push_back(
          {{"name", p.name}, {"default", p.standard}, {"range", range_text(p.range)}, {"meaning", p.meaning}});
    }
    entries.push_back({{"name", e.name}, {"meaning", e.meaning}, {"parameters", parameters}});
  }
  return entries;
}

void print(const KindInfo& kind) {
  fmt::print("{}\n", kind.kind);
  for (const auto& e : kind.entries) {
    fmt::print("  {}\n      {}\n", e.name, e.meaning);
    for (const auto& p : e.parameters) {
      const auto range = range_text(p.range);
      fmt::print("      {}{}{}{}\n", p.name, p.standard.is_null() ? "" : fmt::format(" = {}", p.standard.dump()),
                 range.empty() ? "" : fmt::format(" ({})", range),
                 p.meaning.empty() ? "" : fmt::format(": {}", p.meaning));
    }
  }
}

struct ListOptions {
  std::string kind;
  bool json = false;
};

std::vector<KindInfo> kinds_of(const Program& program) {
  auto kinds = program.catalogue.list();
  kinds.push_back({"studies", {}});
  for (const auto& study : program.studies) {
    const auto variant = study.variant.empty() ? "" : " --study " + study.variant;
    kinds.back().entries.push_back({study.name + variant, study.summary, {}});
  }
  return kinds;
}

ExitCode list(const ListOptions& o, const Program& program) {
  auto json = nlohmann::json::object();
  for (const auto& kind : kinds_of(program)) {
    if (!o.kind.empty() && kind.kind != o.kind) continue;
    if (o.json) {
      json[kind.kind] = as_json(kind);
    } else {
      print(kind);
    }
  }
  if (o.json) fmt::print("{}", dump_json(json));
  return ExitCode::ok;
}

}  // namespace

void add_list(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand("list", "What configurations can name: activations, losses, targets, ...");
  const auto o = std::make_shared<ListOptions>();
  std::vector<std::string> kinds;
  for (const auto& kind : kinds_of(program)) kinds.push_back(kind.kind);
  command->add_option("KIND", o->kind, fmt::format("{} [all]", fmt::join(kinds, ", ")))->check(CLI::IsMember(kinds));
  command->add_flag("--json", o->json, "as JSON, with defaults and ranges");
  command->callback([o, &program] { program.action = [o, &program] { return list(*o, program); }; });
}

}  // namespace entk::app
