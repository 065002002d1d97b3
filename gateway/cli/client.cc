#include "cli/client.h"

#include <curl/curl.h>

#include <memory>
#include <utility>

#include "base/bytes.h"

namespace postern::cli {
namespace {

constexpr std::size_t kMostBytes = 16U << 20;  // of an answer

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Headers = std::unique_ptr<curl_slist, FreeList>;

void add_header(Headers& headers, const std::string& line) {
  if (curl_slist* longer = curl_slist_append(headers.get(), line.c_str())) {
    static_cast<void>(headers.release());  // `longer` begins with it
    headers.reset(longer);
  }
}

std::size_t receive(char* data, std::size_t size, std::size_t count, void* to) {
  auto* body = static_cast<std::string*>(to);
  if (body->size() + size * count > kMostBytes) return 0;
  body->append(data, size * count);
  return size * count;
}

Error failed(std::string message) {
  return {ErrorKind::unavailable, std::move(message), {}, {}};
}

}  // namespace

Client::Client(std::string url, std::string key) : url_(std::move(url)), key_(std::move(key)) {
  while (url_.ends_with('/')) url_.pop_back();
}

Result<Answer> Client::post(const std::string& path, const std::string& json) const {
  return call(path, &json);
}
Result<Answer> Client::get(const std::string& path) const {
  return call(path, nullptr);
}

Result<Answer> Client::call(const std::string& path, const std::string* json) const {
  // Of a key with a line end in it, libcurl would make two header lines.
  if (key_.find_first_of("\r\n") != std::string::npos) {
    return Error{ErrorKind::invalid, "the key has a line end in it", {}, {}};
  }
  const std::unique_ptr<CURL, FreeEasy> easy{curl_easy_init()};
  if (!easy) return failed("libcurl could not be started");
  const std::string url = url_ + path;
  Headers headers;
  add_header(headers, "Authorization: Bearer " + key_);
  add_header(headers, "Accept: application/json");
  Answer answer;
  char reason[CURL_ERROR_SIZE] = "";
  CURL* curl = easy.get();
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 10'000L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_.count()));
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "postern/" POSTERN_VERSION);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &receive);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer.body);
  if (json != nullptr) {
    add_header(headers, "Content-Type: application/json");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, json->data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(json->size()));
  }
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK) {
    const std::string_view why = trim(reason);
    return failed(url_ + ": " + (why.empty() ? curl_easy_strerror(code) : std::string{why}));
  }
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  answer.status = static_cast<int>(status);
  return answer;
}

}  // namespace postern::cli
