// base/crypto.h: hashes, keyed hashes and authenticated encryption over OpenSSL. Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace postern {

std::string sha256(std::string_view bytes);      // 32 bytes
std::string sha256_hex(std::string_view bytes);  // 64 characters
std::string hmac_sha256(std::string_view key, std::string_view bytes);
bool equal_constant_time(std::string_view a, std::string_view b);

// Seals secrets for storage: AES-256-GCM with a fresh data key per record, itself sealed by the
// master key. `context` (the record's kind and id) is authenticated, so that a sealed value can't
// be moved to another record. Immutable, thread-safe.
class SecretBox {
 public:
  // master_key: any text or bytes with at least 32 bytes; it is hashed to the key.
  static Result<SecretBox> make(std::string_view master_key);

  [[nodiscard]] std::string seal(std::string_view plain, std::string_view context) const;
  // The error says that the key or the record is wrong, never what it holds.
  [[nodiscard]] Result<std::string> open(std::string_view sealed, std::string_view context) const;
  // A value that tells two master keys apart and reveals neither; kept in storage.
  [[nodiscard]] std::string check_value() const;

 private:
  explicit SecretBox(std::string key) : key_(std::move(key)) {}
  std::string key_;
};

}  // namespace postern
