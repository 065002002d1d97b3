// auth/principal.h: who is asking, and what that allows. Pure and immutable.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "resources/directory.h"

namespace postern::auth {

class Principal {
 public:
  explicit Principal(std::shared_ptr<const resources::KeyHolder> holder)
      : holder_(std::move(holder)) {}

  [[nodiscard]] const resources::ApiKey& key() const { return *holder_->key; }
  [[nodiscard]] const resources::OrganizationView& organization() const {
    return *holder_->organization;
  }
  [[nodiscard]] const std::string& organization_id() const {
    return holder_->organization->organization.id;
  }
  [[nodiscard]] bool test() const { return holder_->key->test; }

  // 403 that names the permission.
  [[nodiscard]] Result<Done> require(resources::Permission permission) const;
  // 403 where the key's IP restriction forbids the client.
  [[nodiscard]] Result<Done> check_client(std::string_view client_address) const;
  // 403 where the key's domain restriction forbids the sender.
  [[nodiscard]] Result<Done> check_sender_domain(std::string_view domain) const;

 private:
  std::shared_ptr<const resources::KeyHolder> holder_;
};

}  // namespace postern::auth
