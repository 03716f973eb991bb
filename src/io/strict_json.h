// JSON without surprises: what RFC 8259 allows and no more, within 1 MiB and 64 levels, with no key
// twice; numbers that doubles hold; messages that begin with file:line.
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace entk {

constexpr std::size_t most_json_bytes = 1 << 20;
constexpr std::size_t most_json_levels = 64;

/// @throws InputError "name:line: what", for malformed text, a duplicate key, bad UTF-8, NaN or
/// Infinity, a number beyond a double, more than 1 MiB or 64 levels, and anything after the value.
nlohmann::json parse_json(std::string_view text, const std::string& name);

/// Reads a file. @throws InputError
nlohmann::json load_json(const std::filesystem::path& path);

/// The text of a value: two spaces a level, keys sorted, arrays of scalars on one line, the
/// shortest form of each double that reads back the same (always with a point or an exponent), a
/// newline at the end. What is not UTF-8 in a string becomes U+FFFD.
/// @throws NotFiniteError naming the first number that is NaN or infinite; InputError beyond 64
/// levels.
std::string dump_json(const nlohmann::json& value);

}  // namespace entk
