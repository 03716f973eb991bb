#include "entk/io/checkpoint_file.h"

#include "entk/base/error.h"

namespace entk {

namespace {

constexpr char current_name[] = "checkpoint.pt";
constexpr char previous_name[] = "checkpoint.previous.pt";

}  // namespace

void write_checkpoint(const std::filesystem::path& folder, const TensorDict& dict) {
  write_pt(folder / current_name, dict, folder / previous_name);
}

LoadedCheckpoint read_checkpoint(const std::filesystem::path& folder) {
  const PtOptions options{.require_checksum = true};
  try {
    return {read_pt(folder / current_name, options), ""};
  } catch (const InputError& current) {
    try {
      return {read_pt(folder / previous_name, options),
              std::string(current.what()) + "; using " + (folder / previous_name).string()};
    } catch (const InputError& previous) {
      throw InputError(std::string("no checkpoint can be read: ") + current.what() + "; " + previous.what());
    }
  }
}

}  // namespace entk
