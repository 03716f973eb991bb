// A trained model in a file, for scripts: `entk train` keeps the same entries in its checkpoints.
#pragma once

#include <filesystem>

#include "entk/models/taylor_model.h"

namespace entk {

/// W0 (m×d), a (m), W (m×d), the model's options and σ's name, in one `.pt` file that Python's torch.load reads.
/// @throws SaveError
void save_model(const std::filesystem::path& file, const TaylorModel& model);

/// What save_model wrote, to the same bits. σ is code and is given. @throws InputError for a file of another kind,
/// or one whose activation has another name.
TaylorModel load_model(const std::filesystem::path& file, const Activation& activation);

}  // namespace entk
