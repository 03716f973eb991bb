#include "entk/io/checkpoint_file.h"

#include <fmt/format.h>

#include <numeric>
#include <set>

#include "entk/base/error.h"
#include "entk/io/run_folder.h"

namespace entk {

namespace {

namespace fs = std::filesystem;

constexpr char current_name[] = "checkpoint.pt";
constexpr char previous_name[] = "checkpoint.previous.pt";

// Entries of a file whose rows are in blocks: of each block the checksum's two numbers and its rows (of a half), and
// the name of their folder.
constexpr char blocks_key[] = "blocks", folder_key[] = "blocks_in";

std::string block_name(std::int64_t i) { return fmt::format("{:05}.pt", i); }

torch::Tensor folder_entry(std::string name) {
  return torch::from_blob(name.data(), {static_cast<std::int64_t>(name.size())}, torch::kUInt8).clone();
}

/// Where the blocks of a file are, which has them.
fs::path folder_of(const fs::path& file, const TensorDict& dict) {
  const auto table = dict.find(blocks_key), entry = dict.find(folder_key);
  std::string name;
  if (table != dict.end() && entry != dict.end() && entry->second.scalar_type() == torch::kUInt8 &&
      table->second.scalar_type() == torch::kInt64 && table->second.dim() == 2 && table->second.size(0) > 0 &&
      table->second.size(1) == 3) {
    name.assign(reinterpret_cast<const char*>(entry->second.const_data_ptr<std::uint8_t>()),
                static_cast<std::size_t>(entry->second.numel()));
  }
  if (name.empty() || name.find_first_of(std::string("/\0", 2)) != std::string::npos) {
    throw InputError(
        fmt::format("{}: its entries '{}' and '{}' name no blocks", file.string(), blocks_key, folder_key));
  }
  return file.parent_path() / name;
}

/// The name of the folder of a file's blocks; empty where there is no such file.
std::string folder_name_of(const fs::path& file) {
  try {
    return folder_of(file, read_pt(file)).filename().string();
  } catch (const InputError&) {
    return "";
  }
}

/// Folders of blocks, as those of a process that was killed before it wrote the file, that no file names.
void remove_blocks_beside(const fs::path& file, const std::set<std::string>& kept) {
  std::error_code ignored;
  const auto prefix = file.stem().string() + "-";
  for (const auto& entry : fs::directory_iterator(file.parent_path(), ignored)) {
    const auto name = entry.path().filename().string();
    if (name.rfind(prefix, 0) != 0 || name.find_first_not_of("0123456789", prefix.size()) != std::string::npos)
      continue;
    if (!kept.count(name)) fs::remove_all(entry.path(), ignored);
  }
}

}  // namespace

void write_tensors(const fs::path& file, TensorDict dict, const RowBlocks& blocks,
                   const std::optional<fs::path>& previous) {
  if (blocks.count == 0) {
    if (leads()) write_pt(file, dict, previous);
    return;
  }
  const auto folder =
      file.parent_path() / fmt::format("{}-{}", file.stem().string(), dict.at("step").item<std::int64_t>());
  make_folder(folder);
  const auto own = torch::empty({blocks.own.count, 3}, torch::kInt64);
  for (std::int64_t i = 0; i < blocks.own.count; ++i) {
    auto rows = blocks.rows(blocks.own.first + i);
    for (auto& [name, tensor] : rows) tensor = tensor.detach().cpu().contiguous();
    write_pt(folder / block_name(blocks.own.first + i), rows);
    own[i].narrow(0, 0, 2).copy_(checksum(rows));
    own[i][2] = rows.begin()->second.size(1);
  }
  // When the others' checksums are here, their blocks are on the disk.
  const auto all = torch::empty({blocks.count, 3}, torch::kInt64);
  auto bytes = numbers_of_all(blocks.own.count);
  for (auto& count : bytes) count *= 3 * static_cast<std::int64_t>(sizeof(std::int64_t));
  group().all_gather(own.const_data_ptr(), all.mutable_data_ptr(), bytes);
  if (!leads()) return;
  dict[blocks_key] = all;
  dict[folder_key] = folder_entry(folder.filename().string());
  write_pt(file, dict, previous);
  remove_blocks_beside(file, {folder.filename().string(), previous ? folder_name_of(*previous) : ""});
}

TensorDict read_tensors(const fs::path& file, const PtOptions& options, const BlockChoice& own) {
  auto dict = read_pt(file, options);
  if (!dict.count(blocks_key) && !dict.count(folder_key)) return dict;
  const auto folder = folder_of(file, dict);
  const auto table = dict.extract(blocks_key).mapped();
  dict.erase(folder_key);
  const auto wanted = own ? own(table.size(0)) : Share{0, table.size(0)};
  if (wanted.first + wanted.count > table.size(0)) {
    throw InputError(fmt::format("{}: expected at least {} blocks, got {}", file.string(), wanted.first + wanted.count,
                                 table.size(0)));
  }
  const auto rows_in = table.select(1, 2).contiguous();
  const auto* rows = rows_in.const_data_ptr<std::int64_t>();
  const auto total = std::accumulate(rows + wanted.first, rows + wanted.first + wanted.count, std::int64_t{0});
  TensorDict whole;
  const auto take = [&](std::int64_t i, std::int64_t filled, std::int64_t count) {
    const auto path = folder / block_name(i);
    const auto block = read_pt(path, {.require_checksum = true});
    if (!torch::equal(checksum(block), table[i].narrow(0, 0, 2))) {
      throw InputError(fmt::format("{}: it is not the block that {} was saved with", path.string(), file.string()));
    }
    for (const auto& [name, tensor] : block) {
      auto& all = whole[name];
      if (!all.defined()) {
        auto sizes = tensor.sizes().vec();
        sizes.at(1) = total;
        all = torch::empty(sizes, tensor.options());
      }
      all.narrow(1, filled, count).copy_(tensor.narrow(1, 0, count));
    }
  };
  std::int64_t filled = 0;
  for (auto i = wanted.first; i < wanted.first + wanted.count; filled += rows[i++]) take(i, filled, rows[i]);
  if (wanted.count == 0) take(0, 0, 0);  // what no rows at all are like
  for (const auto& [name, tensor] : whole) dict[name] = tensor.flatten(0, 1);
  return dict;
}

void write_checkpoint(const fs::path& folder, const TensorDict& dict, const RowBlocks& blocks) {
  write_tensors(folder / current_name, dict, blocks, folder / previous_name);
}

LoadedCheckpoint read_checkpoint(const fs::path& folder, const BlockChoice& own) {
  // What is wrong with a file, for any process.
  const auto fault = [&](const char* name, TensorDict& tensors) -> std::string {
    std::string what;
    try {
      tensors = read_tensors(folder / name, {.require_checksum = true}, own);
    } catch (const InputError& error) {
      what = error.what();
    }
    return first_of_all(what);
  };
  LoadedCheckpoint loaded;
  const auto current = fault(current_name, loaded.tensors);
  if (current.empty()) return loaded;
  const auto previous = fault(previous_name, loaded.tensors);
  if (!previous.empty()) throw InputError("no checkpoint can be read: " + current + "; " + previous);
  loaded.notice = current + "; using " + (folder / previous_name).string();
  return loaded;
}

}  // namespace entk
