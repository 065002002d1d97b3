#include "auth/authenticator.h"

#include "base/bytes.h"
#include "base/crypto.h"

namespace postern::auth {
namespace {

constexpr std::size_t kLongestKey = 256;

Error refused(std::string message) {
  return {ErrorKind::unauthenticated, std::move(message), {}, {}};
}

bool looks_like_key(std::string_view key) {
  return key.size() <= kLongestKey && (key.starts_with("ms_live_") || key.starts_with("ms_test_"));
}

}  // namespace

void Authenticator::authenticate(std::string_view authorization, OnPrincipal done) {
  if (authorization.empty()) {
    return done(refused("Missing API key: send the header 'Authorization: Bearer <key>'"));
  }
  static constexpr std::string_view kScheme = "Bearer ";
  if (!ascii_iequals(authorization.substr(0, kScheme.size()), kScheme)) {
    return done(refused("The Authorization header must be 'Bearer <key>'"));
  }
  const std::string_view key = trim(authorization.substr(kScheme.size()));
  if (!looks_like_key(key)) {
    return done(refused("Not an API key: keys begin with ms_live_ or ms_test_"));
  }
  directory_.find_key(
      sha256_hex(key),
      [this, done = std::move(done)](Result<std::shared_ptr<const resources::KeyHolder>> found) {
        if (!found) return done(found.error());
        if (!*found) return done(refused("Unknown API key"));
        const resources::ApiKey& holder = *(*found)->key;
        if (holder.revoked_at) return done(refused("The API key was revoked"));
        if (holder.expires_at && *holder.expires_at <= clock_.now()) {
          return done(refused("The API key has expired"));
        }
        if ((*found)->organization->organization.disabled) {
          return done(refused("The API key's organization is disabled"));
        }
        done(Principal{*std::move(found)});
      });
}

}  // namespace postern::auth
