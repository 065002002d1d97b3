// storage_sqlite/schema.h: the tables and how a file gets from one version to the next.
#pragma once

#include <string>

#include "session.h"

namespace postern::storage_sqlite {

inline constexpr std::int64_t kSchemaVersion = 1;
inline constexpr std::int64_t kApplicationId = 0x5054524e;  // "PTRN"

// 0: an empty file. Throws Failure (unusable) when the file is some other program's.
std::int64_t schema_version(Session& session, const std::string& path);

// Brings the file to kSchemaVersion, each version in a transaction of its own, each recorded in
// schema_version. Throws Failure (unusable) for a schema from the future, which it leaves alone.
void migrate(Session& session, const std::string& path, sdk::UnixMillis now);

// The refusal of a file of version `found` by a program that knows `kSchemaVersion`.
sdk::StorageError wrong_version(const std::string& path, std::int64_t found);

}  // namespace postern::storage_sqlite
