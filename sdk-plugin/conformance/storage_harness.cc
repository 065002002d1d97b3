#include "conformance/storage_harness.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

namespace postern::conformance {
namespace {

class SilentLogger final : public sdk::Logger {
 public:
  void log(sdk::LogLevel, std::string_view,
           const std::vector<std::pair<std::string_view, std::string>>&) override {}
};

class NoHttp final : public sdk::HttpClient {
 public:
  void start(sdk::HttpRequest, std::stop_token,
             std::function<void(sdk::HttpResponse)> done) override {
    sdk::HttpResponse response;
    response.failure = sdk::HttpFailure::not_sent;
    response.error = "this host has no network";
    done(std::move(response));
  }
};

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::abort();
}

}  // namespace

StorageHost::StorageHost()
    : logger_(std::make_unique<SilentLogger>()),
      http_(std::make_unique<NoHttp>()),
      services_(std::make_unique<sdk::HostServices>(
          sdk::HostServices{*logger_, clock_, *http_, "gateway.test"})) {}
StorageHost::~StorageHost() = default;

const sdk::PluginInfo& load_storage_plugin(const std::string& file) {
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) give_up(std::string{"can't load: "} + ::dlerror());
  void* symbol = ::dlsym(library, sdk::kEntryPoint);
  if (!symbol) give_up(file + ": no entry point");
  const auto* info = reinterpret_cast<const sdk::PluginInfo* (*)()>(symbol)();
  const auto abi = sdk::current_abi();
  if (std::memcmp(&info->abi, &abi, sizeof abi) != 0) give_up(file + ": built for another ABI");
  if (info->kind != sdk::PluginKind::storage || !info->open_storage) {
    give_up(file + ": no storage plugin");
  }
  return *info;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "postern-storage-XXXXXX").string();
  if (!::mkdtemp(pattern.data())) give_up(pattern + ": " + std::strerror(errno));
  path_ = pattern;
}
TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string next_uuid() {
  static std::atomic<unsigned long long> counter{0};
  const auto n = counter++;
  char text[64];
  // A timestamp that moves every 4096 ids, then the counter: ascending, and valid in its version
  // and variant bits.
  const unsigned long long millis = 1'750'000'000'000ULL + n / 4096;
  std::snprintf(text, sizeof text, "%08llx-%04llx-7%03llx-8000-%012llx", millis >> 16,
                millis & 0xffff, n % 4096, (n * 0x9e3779b97f4aULL) & 0xffffffffffffULL);
  return text;
}

sdk::EnqueueMessage enqueue(const MessageParts& parts) {
  sdk::EnqueueMessage op;
  op.message.id = parts.id;
  op.message.organization = parts.organization;
  op.message.stream = "transactional";
  op.message.status = sdk::MessageStatus::queued;
  op.message.account = parts.account;
  op.message.provider_type = "SMTP";
  op.message.from = "sender@example.com";
  op.message.sender_domain = "example.com";
  op.message.subject = "A subject of usual length";
  op.message.message_id_header = "<" + parts.id + "@example.com>";
  op.message.recipient_count = static_cast<std::uint32_t>(parts.addresses.size());
  op.message.created_at = parts.at;
  op.message.updated_at = parts.at;
  for (std::size_t i = 0; i < parts.addresses.size(); ++i) {
    sdk::RecipientRecord recipient;
    recipient.index = static_cast<std::uint32_t>(i);
    recipient.address = parts.addresses[i];
    recipient.updated_at = parts.at;
    op.recipients.push_back(recipient);
  }
  op.body = std::make_shared<const std::string>(parts.body);
  op.work.queue = sdk::Queue::deliveries;
  op.work.id = parts.id;
  op.work.organization = parts.organization;
  op.work.lane = parts.account;
  op.work.due = parts.at;
  op.work.message_id = parts.id;
  return op;
}

sdk::AppendEvent event_of(const MessageParts& parts, sdk::EventType type) {
  sdk::AppendEvent op;
  op.event.id = next_uuid();
  op.event.message_id = parts.id;
  op.event.organization = parts.organization;
  op.event.type = type;
  op.event.at = parts.at;
  op.event.account = parts.account;
  return op;
}

}  // namespace postern::conformance
