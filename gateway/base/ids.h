// base/ids.h: identifiers. All functions are thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"

namespace postern {

// From the operating system's generator (OpenSSL's DRBG, seeded by it). Ends the process when the
// system has no randomness: nothing that needs it could be trusted.
std::string random_bytes(std::size_t count);
// Fast and unpredictable enough for jitter, not for secrets: uniform in [0, 1).
double random_unit();

// RFC 9562 5.7: sorts by time, and within one process by creation.
std::string uuid_v7(const Clock& clock);
// RFC 9562 5.5 under a namespace of ours: the same name gives the same id on every machine.
std::string uuid_v5(std::string_view name);
bool is_uuid(std::string_view text);  // 8-4-4-4-12 hexadecimal, any case

// ULID (github.com/ulid/spec): 26 characters of Crockford's base32, sorts by time.
std::string ulid(const Clock& clock);

}  // namespace postern
