// mail/content_type.h: content types by RFC 2045 5.1. Pure functions; thread-safe.
#pragma once

#include <string_view>

namespace postern::mail {

class HeaderWriter;

// Writes what is_content_type (mail/message.h) accepts as the value of a Content-Type field, with
// parameters folded.
void write_content_type(HeaderWriter& header, std::string_view content_type);

}  // namespace postern::mail
