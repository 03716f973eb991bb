// A run's checkpoint.pt and the one before it, checkpoint.previous.pt.
//
// Large ones are saved in blocks of rows: checkpoint-STEP/00000.pt and so on, each written by the process that has its
// rows. checkpoint.pt, written after all of them, holds their checksums and everything else, and alone makes them the
// checkpoint.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "entk/base/group.h"
#include "entk/io/pt_file.h"

namespace entk {

/// Tensors whose rows are saved in blocks.
struct RowBlocks {
  std::int64_t count = 0;  ///< of all processes; 0: nothing is saved in blocks
  Share own{};             ///< this process's
  /// The rows of the i-th of all, one of this process's: halves×rows×…. All blocks one behind the other along the
  /// second dimension, and then the halves one behind the other, are the whole tensor.
  std::function<TensorDict(std::int64_t)> rows{};
};

/// Writes `file` in one step, what stood there kept under the name `previous` where one is given; of several processes,
/// which all come here, the first one. Blocks, with the entry `step` in their folder's name, are there before it, and
/// those of neither of the two files go after it. @throws InputError for what a `.pt` file cannot hold, SaveError
void write_tensors(const std::filesystem::path& file, TensorDict dict, const RowBlocks& blocks = {},
                   const std::optional<std::filesystem::path>& previous = std::nullopt);
/// Which of so many blocks are read; all of them where there is none.
using BlockChoice = std::function<Share(std::int64_t count)>;
/// read_pt, with the rows that are in blocks. @throws InputError naming the file, also where a block is not that which
/// the file was written with.
TensorDict read_tensors(const std::filesystem::path& file, const PtOptions& options = {}, const BlockChoice& own = {});

/// Writes checkpoint.pt in one step and keeps the old one as checkpoint.previous.pt: at every
/// instant one of the two can be read. @throws InputError for what a `.pt` file cannot hold,
/// SaveError
void write_checkpoint(const std::filesystem::path& folder, const TensorDict& dict, const RowBlocks& blocks = {});

/// What was read, and from where.
struct LoadedCheckpoint {
  TensorDict tensors;  ///< by their names
  std::string notice;  ///< why checkpoint.previous.pt was used; empty if it was not
};

/// Reads checkpoint.pt, or checkpoint.previous.pt if that is missing or damaged, for any process. The checksum is
/// required. @throws InputError naming both files and what is wrong with each.
LoadedCheckpoint read_checkpoint(const std::filesystem::path& folder, const BlockChoice& own = {});

}  // namespace entk
