// mail/sample_drafts.h: varied mails for tests, the same for the same seed.
#pragma once

#include <cstdint>

#include "mail/message.h"

namespace postern::mail {

// A valid draft: subjects, names, bodies and file names in many scripts, emoji, long words, long
// lines, odd line ends, every shape of parts.
Draft sample_draft(std::uint64_t seed);

// As it must be read back: CRLF line ends.
std::string with_crlf(std::string_view text);

// Whether `mime` is well-formed on the wire: no CR or LF alone, no NUL, lines of at most 998
// octets, header lines of at most 78 unless one word is longer. Gives what is wrong, empty when
// nothing is.
std::string wire_fault(std::string_view mime);

}  // namespace postern::mail
