// cli/master_key.h: the file of the master key.
#pragma once

#include <string>

#include "base/result.h"

namespace postern::cli {

// The master key in `file`; where there is no such file, one is made: 32 random bytes in base64,
// mode 0600, in a directory that is made with mode 0700 if need be, durable when this returns. Of
// two processes that do it at once, one makes the key and both get it.
Result<std::string> read_or_make_master_key(const std::string& file);

// Makes the directory and those around it, where they are missing, with mode 0700.
Result<Done> make_private_directory(const std::string& directory);

}  // namespace postern::cli
