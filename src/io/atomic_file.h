// Files that are there whole or not at all.
//
// Memory → temporary file beside the target → checked writes → fsync → rename → fsync of the
// folder. A kill or a full disk at any point leaves the old file as it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace entk {

/// Replaces `target` by these bytes in one step. What stood there is kept under the name `previous`
/// (same folder) where one is given. The old target stays in place until the new one has its name,
/// and an older `previous` until then too, so a good file exists under one of the two names at
/// every instant, even where the old target is damaged. A symbolic link is followed.
/// @throws SaveError naming file and reason; the old files are then still there.
void write_file_atomically(const std::filesystem::path& target, std::string_view bytes,
                           const std::optional<std::filesystem::path>& previous = std::nullopt);

/// The bytes of a regular file. @throws InputError naming file and reason: missing, unreadable, not
/// a regular file, longer than `limit`.
std::string read_file(const std::filesystem::path& path, std::size_t limit = SIZE_MAX);

/// Whether a name is one that write_file_atomically gives its temporary files: a killed process may
/// leave one behind.
bool is_temporary_name(const std::string& name);

}  // namespace entk
