// An SVG file made fit to stand inside an HTML page, beside others.
#pragma once

#include <string>
#include <string_view>

namespace entk {

/// The <svg> element with every id and reference prefixed, so that several do not clash on one
/// page; prolog, comments, namespaces, titles and ids that nothing refers to are left out. It takes
/// the width of its surroundings, up to 1.5 times its own, and carries `description` for readers
/// who do not see it.
/// @throws InputError if this is no SVG, or has anything that could run or load something: scripts,
/// event handlers, references beyond the picture itself, elements other than shapes and text.
std::string inline_svg(std::string_view svg, const std::string& prefix,
                       const std::string& description);

}  // namespace entk
