// A folder for files that nobody asks for later.
#pragma once

#include <filesystem>
#include <string>

namespace entk {

/// Made new, named `prefix` and six letters, in `parent`; gone with this, whatever is in it.
class ScratchFolder {
 public:
  /// @throws SaveError where none can be made.
  explicit ScratchFolder(const std::string& prefix = "entk-",
                         const std::filesystem::path& parent = std::filesystem::temp_directory_path());
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder();

  const std::filesystem::path& path() const { return path_; }  ///< where it is

 private:
  std::filesystem::path path_;
};

}  // namespace entk
