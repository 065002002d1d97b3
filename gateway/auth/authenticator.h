// auth/authenticator.h: whom the Authorization header names.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "auth/principal.h"
#include "base/clock.h"
#include "base/result.h"
#include "resources/directory.h"

namespace postern::auth {

// Thread-safe.
class Authenticator {
 public:
  using OnPrincipal = std::function<void(Result<Principal>)>;

  Authenticator(resources::Directory& directory, const Clock& clock)
      : directory_(directory), clock_(clock) {}

  // RFC 6750 2.1: "Bearer <key>". Calls back at once, or from a reader thread. Errors: 401 (missing,
  // malformed, unknown, revoked, expired, or its organization is disabled; the message tells which
  // only as far as it helps no stranger), 503.
  void authenticate(std::string_view authorization, OnPrincipal done);

 private:
  resources::Directory& directory_;
  const Clock& clock_;
};

}  // namespace postern::auth
