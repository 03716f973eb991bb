// The regularizers that have a name in a configuration, and what their makers are told.
#pragma once

#include <optional>

#include "entk/data/dataset.h"
#include "entk/data/entries.h"
#include "entk/regularizers/regularizers.h"

namespace entk {

/// The run that a regularizer or an observable is made for. The tensors are shared, not copied.
struct Setting : TargetSetting {
  TaylorModel model{nullptr};                     ///< its network has W0, a, σ; W is where the run stands
  DataSet data;                                   ///< in the run's type, on its device
  std::optional<SigmaProjector> sigma{};          ///< where projector.source is features or unlabeled
  std::optional<HarmonicProjector> harmonic{};    ///< where it is harmonic
  std::vector<std::vector<double>> directions{};  ///< that the target singles out, unit vectors; may be none
};

/// A term's name in metrics.csv is the entry's, whatever the maker called it.
using RegularizerEntry = Entry<Term, Setting>;
/// Those that entk has.
const std::vector<RegularizerEntry>& built_in_regularizers();

}  // namespace entk
