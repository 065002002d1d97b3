// cli/keys.h: API keys.
#pragma once

#include <string>

namespace postern::cli {

// "ms_live_" or "ms_test_" and 43 characters of base64url (RFC 4648 5): 256 random bits.
std::string make_api_key(bool test);

}  // namespace postern::cli
