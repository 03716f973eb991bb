// A run's checkpoint.pt and the one before it, checkpoint.previous.pt.
#pragma once

#include <filesystem>
#include <string>

#include "entk/io/pt_file.h"

namespace entk {

/// Writes checkpoint.pt in one step and keeps the old one as checkpoint.previous.pt: at every
/// instant one of the two can be read. @throws InputError for what a `.pt` file cannot hold,
/// SaveError
void write_checkpoint(const std::filesystem::path& folder, const TensorDict& dict);

/// What was read, and from where.
struct LoadedCheckpoint {
  TensorDict tensors;  ///< by their names
  std::string notice;  ///< why checkpoint.previous.pt was used; empty if it was not
};

/// Reads checkpoint.pt, or checkpoint.previous.pt if that is missing or damaged. The checksum is
/// required. @throws InputError naming both files and what is wrong with each.
LoadedCheckpoint read_checkpoint(const std::filesystem::path& folder);

}  // namespace entk
