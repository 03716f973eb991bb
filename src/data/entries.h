// The data sources and targets that have a name in a configuration.
#pragma once

#include "entk/data/dataset.h"
#include "entk/io/parameters.h"

namespace entk {

/// A data source's name and maker.
using DataSourceEntry = Entry<DataSource>;
/// Those that entk has.
const std::vector<DataSourceEntry>& built_in_data_sources();

/// What a target is made for.
struct TargetSetting {
  std::int64_t dimension = 0;       ///< d
  InputLaw law = InputLaw::sphere;  ///< of the inputs
  std::uint64_t seed = 1;           ///< of what is random, as its directions
};

/// A list of lists of numbers under a key. @throws InputError for anything else.
std::vector<std::vector<double>> read_rows(const JsonReader& reader, const std::string& key);

/// A target's name and maker.
using TargetEntry = Entry<Target, TargetSetting>;
/// Those that entk has.
const std::vector<TargetEntry>& built_in_targets();

}  // namespace entk
