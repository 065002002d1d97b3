// The content of a mail as DATA wants it, RFC 5321 4.5.2.
#pragma once

#include <string>
#include <string_view>

namespace postern::smtp {

// Whether the content can go out as it is: every line ends with CRLF, and none starts with a dot.
// The last line may lack its CRLF.
bool is_transparent(std::string_view content);

// A copy with dots doubled at the start of lines. A CR or LF that stands alone becomes CRLF:
// servers that take one for the end of a line would otherwise see commands in the content.
std::string make_transparent(std::string_view content);

// What comes after the content: the rest of its last line, and the dot.
std::string_view end_of_data(std::string_view content);

}  // namespace postern::smtp
