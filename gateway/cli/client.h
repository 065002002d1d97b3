// cli/client.h: the API of a gateway as a command calls it. libcurl's easy interface is used in
// client.cc alone.
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"

namespace postern::cli {

struct Answer {
  int status = 0;  // HTTP
  std::string body;
};

// Blocks. For one thread. Redirects are not followed: the key must not go elsewhere.
class Client {
 public:
  // `url` is that of the API without its path: "http://127.0.0.1:8025".
  Client(std::string url, std::string key);

  // An error says what could not be reached, never the key.
  [[nodiscard]] Result<Answer> post(const std::string& path, const std::string& json) const;
  [[nodiscard]] Result<Answer> get(const std::string& path) const;

 private:
  [[nodiscard]] Result<Answer> call(const std::string& path, const std::string* json) const;

  std::string url_;
  std::string key_;
  std::chrono::milliseconds timeout_{60'000};
};

}  // namespace postern::cli
