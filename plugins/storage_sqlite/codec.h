// storage_sqlite/codec.h: how values become columns. All functions are thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "postern/sdk/storage.h"
#include "session.h"

namespace postern::storage_sqlite {

// An identifier as a column: 16 bytes of BLOB when it is a UUID in its canonical lower-case form
// (most are; half of every index is identifiers), else its TEXT. Reversible. UUIDs sort among
// themselves as their text does; every TEXT sorts below every UUID.
class Key {
 public:
  explicit Key(std::string_view id);
  void bind(Statement& statement) const {
    if (packed_) {
      statement.blob({reinterpret_cast<const char*>(bytes_.data()), bytes_.size()});
    } else {
      statement.text(text_);
    }
  }

  // As SQLite orders them: TEXT below BLOB, then byte by byte.
  friend bool operator<(const Key& a, const Key& b) {
    if (a.packed_ != b.packed_) return b.packed_;
    return a.packed_ ? a.bytes_ < b.bytes_ : a.text_ < b.text_;
  }

 private:
  std::string_view text_;
  std::array<std::uint8_t, 16> bytes_{};
  bool packed_ = false;
};
inline Statement& operator<<(Statement& statement, const Key& key) {
  key.bind(statement);
  return statement;
}
std::string unpack_key(const Statement& statement, int column);

// Whether it is UTF-8 (RFC 3629) without NUL and at most `kMaxText` bytes.
inline constexpr std::size_t kMaxText = 64 * 1024;
inline constexpr std::size_t kMaxBytes = 900'000'000;  // below SQLite's own limit of a row, 10^9
bool is_text(std::string_view value);

// Empty: it can be stored. Else what is wrong, naming the field.
std::string why_invalid(const sdk::Op& op);

// Several texts as one, each with its length before it, so that any character may be in them.
std::string pack_strings(const std::vector<std::string>& tags);
std::vector<std::string> unpack_strings(std::string_view packed);

constexpr bool is_final(sdk::MessageStatus status) {
  switch (status) {
    case sdk::MessageStatus::scheduled:
    case sdk::MessageStatus::queued:
    case sdk::MessageStatus::sending:
    case sdk::MessageStatus::deferred:
      return false;
    case sdk::MessageStatus::sent:
    case sdk::MessageStatus::delivered:
    case sdk::MessageStatus::bounced:
    case sdk::MessageStatus::complained:
    case sdk::MessageStatus::failed:
    case sdk::MessageStatus::canceled:
    case sdk::MessageStatus::suppressed:
      return true;
  }
  return false;
}

}  // namespace postern::storage_sqlite
