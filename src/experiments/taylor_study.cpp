#include "entk/experiments/taylor_study.h"

#include "entk/base/error.h"

namespace entk {

TaylorStudyConfig read_taylor_study_config(const nlohmann::json& json, const std::string& source) {
  const JsonReader reader(json, source);
  TaylorStudyConfig config;
  SchemaReader schema(reader);
  describe(schema, config);
  reader.finish();
  if (config.data.classes.size() != 2 || config.data.classes[0] == config.data.classes[1]) {
    reader.fail("data.classes", "two different classes");
  }
  if (config.seeds.empty()) reader.fail("seeds", "at least one");
  return config;
}

nlohmann::json to_json(const TaylorStudyConfig& config) {
  auto copy = config;
  SchemaWriter writer;
  describe(writer, copy);
  return writer.json();
}

std::vector<KeyInfo> taylor_study_keys() {
  TaylorStudyConfig config;
  SchemaLister lister;
  describe(lister, config);
  return lister.keys();
}

}  // namespace entk
