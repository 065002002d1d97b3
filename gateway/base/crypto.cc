#include "base/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <memory>

#include "base/bytes.h"
#include "base/ids.h"

namespace postern {
namespace {

constexpr std::size_t kKey = 32;
constexpr std::size_t kNonce = 12;  // NIST SP 800-38D 5.2.1.1
constexpr std::size_t kTag = 16;
constexpr std::string_view kPrefix = "v1:";

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

// nonce, ciphertext, tag
std::string encrypt(std::string_view key, std::string_view plain, std::string_view context) {
  const std::string nonce = random_bytes(kNonce);
  std::string out = nonce;
  out.resize(kNonce + plain.size() + kTag);
  auto* to = reinterpret_cast<unsigned char*>(out.data());
  const Cipher cipher{EVP_CIPHER_CTX_new()};
  int size = 0;
  EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key), bytes_of(nonce));
  EVP_EncryptUpdate(cipher.get(), nullptr, &size, bytes_of(context), static_cast<int>(context.size()));
  EVP_EncryptUpdate(cipher.get(), to + kNonce, &size, bytes_of(plain), static_cast<int>(plain.size()));
  EVP_EncryptFinal_ex(cipher.get(), to + kNonce + plain.size(), &size);
  EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTag, to + kNonce + plain.size());
  return out;
}

std::optional<std::string> decrypt(std::string_view key, std::string_view sealed,
                                   std::string_view context) {
  if (sealed.size() < kNonce + kTag) return std::nullopt;
  const std::string_view nonce = sealed.substr(0, kNonce);
  const std::string_view body = sealed.substr(kNonce, sealed.size() - kNonce - kTag);
  std::string tag{sealed.substr(sealed.size() - kTag)};
  std::string out(body.size(), '\0');
  const Cipher cipher{EVP_CIPHER_CTX_new()};
  int size = 0;
  EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key), bytes_of(nonce));
  EVP_DecryptUpdate(cipher.get(), nullptr, &size, bytes_of(context), static_cast<int>(context.size()));
  EVP_DecryptUpdate(cipher.get(), reinterpret_cast<unsigned char*>(out.data()), &size,
                    bytes_of(body), static_cast<int>(body.size()));
  EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTag, tag.data());
  unsigned char rest[kTag];
  if (EVP_DecryptFinal_ex(cipher.get(), rest, &size) != 1) return std::nullopt;
  return out;
}

}  // namespace

std::string sha256(std::string_view bytes) {
  // Every request's key is hashed: the algorithm is looked up once, the context made once a thread.
  static EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  struct FreeDigest {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  thread_local const std::unique_ptr<EVP_MD_CTX, FreeDigest> context{EVP_MD_CTX_new()};
  std::string out(32, '\0');
  EVP_DigestInit_ex2(context.get(), algorithm, nullptr);
  EVP_DigestUpdate(context.get(), bytes.data(), bytes.size());
  EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(out.data()), nullptr);
  return out;
}

std::string sha256_hex(std::string_view bytes) { return hex_encode(sha256(bytes)); }

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  std::string out(32, '\0');
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(bytes), bytes.size(),
       reinterpret_cast<unsigned char*>(out.data()), &size);
  return out;
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Result<SecretBox> SecretBox::make(std::string_view master_key) {
  if (master_key.size() < kKey) {
    return Error{ErrorKind::invalid,
                 "the master key has " + std::to_string(master_key.size()) +
                     " bytes; it needs at least 32, e.g. from: openssl rand -base64 32",
                 {},
                 {}};
  }
  return SecretBox{hmac_sha256("postern master key", master_key)};
}

std::string SecretBox::seal(std::string_view plain, std::string_view context) const {
  const std::string data_key = random_bytes(kKey);
  const std::string wrapped = encrypt(key_, data_key, context);
  return std::string{kPrefix} + base64_encode(wrapped + encrypt(data_key, plain, context));
}

Result<std::string> SecretBox::open(std::string_view sealed, std::string_view context) const {
  constexpr std::size_t kWrapped = kNonce + kKey + kTag;
  const auto failed = [&] {
    return Error{ErrorKind::internal,
                 "a sealed value of " + std::string{context} +
                     " can't be opened: it was sealed under another master key, or was changed",
                 {},
                 {}};
  };
  if (!sealed.starts_with(kPrefix)) return failed();
  const auto bytes = base64_decode(sealed.substr(kPrefix.size()));
  if (!bytes || bytes->size() < kWrapped) return failed();
  const auto data_key = decrypt(key_, std::string_view{*bytes}.substr(0, kWrapped), context);
  if (!data_key) return failed();
  auto plain = decrypt(*data_key, std::string_view{*bytes}.substr(kWrapped), context);
  if (!plain) return failed();
  return *std::move(plain);
}

std::string SecretBox::check_value() const {
  return hex_encode(hmac_sha256(key_, "postern master key check")).substr(0, 32);
}

}  // namespace postern
