#include "entk/io/parameters.h"

#include <utility>

#include "entk/base/error.h"
#include "entk/io/text.h"

namespace entk {

Parameters::Parameters(JsonReader reader, std::vector<Parameter> declared)
    : reader_(std::move(reader)), declared_(std::move(declared)) {
  for (const auto& p : declared_) {
    if (!reader_.has(p.name)) continue;
    switch (p.standard.type()) {
      case nlohmann::json::value_t::boolean:
        reader_.get<bool>(p.name, p.range);
        break;
      case nlohmann::json::value_t::number_integer:
      case nlohmann::json::value_t::number_unsigned:
        reader_.get<std::int64_t>(p.name, p.range);
        break;
      case nlohmann::json::value_t::number_float:
        reader_.get<double>(p.name, p.range);
        break;
      case nlohmann::json::value_t::string:
        reader_.get<std::string>(p.name, p.range);
        break;
      case nlohmann::json::value_t::array:
        reader_.get<std::vector<double>>(p.name, p.range);
        break;
      default:
        break;
    }
  }
}

Parameters Parameters::copy() const { return {reader_.copy(), declared_}; }

const Parameter& Parameters::declared(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& p : declared_) {
    if (p.name == name) return p;
    names.push_back(p.name);
  }
  const auto near = nearest_name(name, names);
  throw InputError("parameter " + in_quotes(name) + ": asked for, but not among those declared" +
                   (near ? " (did you mean " + in_quotes(*near) + "?)" : ""));
}

}  // namespace entk
