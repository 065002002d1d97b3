// submission/json.h: JSON as the API reads it: strict, with a place for every error.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace postern::json {

// RFC 8259, UTF-8 only, at most 32 levels deep. The error names line and column (both 1-based).
Result<boost::json::value> parse(std::string_view text, boost::json::storage_ptr memory = {});

}  // namespace postern::json
