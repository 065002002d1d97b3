#include <utility>

#include "plugin_host/call.h"
#include "plugin_host/guarded.h"

namespace postern::plugin_host {
namespace {

using sdk::Storage;
using sdk::StorageError;
using sdk::Stored;
using telemetry::PluginFault;

class GuardedStorage final : public Storage {
 public:
  GuardedStorage(std::unique_ptr<Storage> storage, std::string plugin, const GuardContext& context)
      : guard_(std::move(plugin), context), storage_(std::move(storage)) {}

  Stored<std::vector<sdk::UnitResult>> commit(std::span<const sdk::Unit> units) override {
    auto results =
        guarded("commit", StorageError::Kind::unknown, [&] { return storage_->commit(units); });
    if (results && results->size() != units.size()) {
      const std::string what = "answered " + std::to_string(results->size()) + " results for " +
                               std::to_string(units.size()) + " units";
      guard_.fault(PluginFault::wrong_count, "commit", what);
      return error(StorageError::Kind::unknown, what + " in commit");
    }
    return results;
  }
  Stored<std::vector<sdk::LeasedWork>> lease(const sdk::LeaseRequest& request) override {
    return guarded("lease", [&] { return storage_->lease(request); });
  }
  Stored<std::uint64_t> recover(const std::string& node, const std::string& incarnation,
                                sdk::UnixMillis now) override {
    return guarded("recover", [&] { return storage_->recover(node, incarnation, now); });
  }
  Stored<sdk::PurgeResult> purge(const sdk::PurgeRequest& request) override {
    return guarded("purge", [&] { return storage_->purge(request); });
  }

  Stored<std::optional<sdk::Document>> document(const std::string& kind,
                                                const std::string& id) override {
    return guarded("document", [&] { return storage_->document(kind, id); });
  }
  Stored<std::optional<sdk::Document>> document_by_key(const std::string& kind,
                                                       const std::string& unique_key) override {
    return guarded("document_by_key", [&] { return storage_->document_by_key(kind, unique_key); });
  }
  Stored<std::vector<bool>> any_exist(const std::string& kind,
                                      std::span<const std::string> unique_keys) override {
    auto exist = guarded("any_exist", [&] { return storage_->any_exist(kind, unique_keys); });
    if (exist && exist->size() != unique_keys.size()) {
      const std::string what = "answered " + std::to_string(exist->size()) + " values for " +
                               std::to_string(unique_keys.size()) + " keys";
      guard_.fault(PluginFault::wrong_count, "any_exist", what);
      return error(StorageError::Kind::unavailable, what + " in any_exist");
    }
    return exist;
  }
  Stored<std::vector<sdk::Document>> documents(const sdk::DocumentQuery& query) override {
    return guarded("documents", [&] { return storage_->documents(query); });
  }
  Stored<std::uint64_t> count_documents(const sdk::DocumentQuery& query) override {
    return guarded("count_documents", [&] { return storage_->count_documents(query); });
  }

  Stored<std::optional<sdk::MessageDetail>> message(const std::string& organization,
                                                    const std::string& id) override {
    return guarded("message", [&] { return storage_->message(organization, id); });
  }
  Stored<std::vector<sdk::StoredMessage>> messages_for_delivery(
      std::span<const std::string> ids) override {
    return guarded("messages_for_delivery", [&] { return storage_->messages_for_delivery(ids); });
  }
  Stored<sdk::MessagePage> messages(const sdk::MessageQuery& query) override {
    return guarded("messages", [&] { return storage_->messages(query); });
  }
  Stored<std::optional<std::string>> message_by_provider_id(
      const std::string& account, const std::string& provider_message_id) override {
    return guarded("message_by_provider_id",
                   [&] { return storage_->message_by_provider_id(account, provider_message_id); });
  }
  Stored<std::vector<sdk::MetricRow>> metrics(const sdk::MetricQuery& query) override {
    return guarded("metrics", [&] { return storage_->metrics(query); });
  }

  Stored<std::vector<sdk::LaneDepth>> depth(sdk::Queue queue, sdk::UnixMillis now) override {
    return guarded("depth", [&] { return storage_->depth(queue, now); });
  }
  Stored<std::vector<sdk::WorkRow>> work(const sdk::WorkQuery& query) override {
    return guarded("work", [&] { return storage_->work(query); });
  }
  Stored<std::vector<sdk::DocumentChange>> changes(std::uint64_t after,
                                                   std::uint32_t limit) override {
    return guarded("changes", [&] { return storage_->changes(after, limit); });
  }
  Stored<std::uint64_t> last_revision() override {
    return guarded("last_revision", [&] { return storage_->last_revision(); });
  }
  Stored<sdk::IterateResult> iterate(const std::string& cursor, std::uint32_t limit) override {
    return guarded("iterate", [&] { return storage_->iterate(cursor, limit); });
  }
  Stored<std::vector<std::string>> check() override {
    return guarded("check", [&] { return storage_->check(); });
  }
  Stored<sdk::Done> ping() override {
    return guarded("ping", [&] { return storage_->ping(); });
  }

 private:
  [[nodiscard]] StorageError error(StorageError::Kind kind, const std::string& what) const {
    return {kind, "storage plugin " + guard_.plugin() + " " + what, 0, 0};
  }

  template <typename Body>
  auto guarded(const char* call, StorageError::Kind kind, Body&& body) -> decltype(body()) {
    return barrier(body, [&](const std::string& what) -> decltype(body()) {
      guard_.fault(PluginFault::threw, call, "threw: " + what);
      return error(kind, std::string{"threw in "} + call + ": " + what);
    });
  }
  template <typename Body>
  auto guarded(const char* call, Body&& body) -> decltype(body()) {
    return guarded(call, StorageError::Kind::unavailable, std::forward<Body>(body));
  }

  Guard guard_;
  std::unique_ptr<Storage> storage_;
};

}  // namespace

std::unique_ptr<Storage> guard_storage(std::unique_ptr<Storage> storage, std::string plugin,
                                       const GuardContext& context) {
  return std::make_unique<GuardedStorage>(std::move(storage), std::move(plugin), context);
}

Stored<std::unique_ptr<Storage>> open_storage(const LoadedPlugin& plugin,
                                              const sdk::StorageOptions& options,
                                              sdk::HostServices& services,
                                              const GuardContext& context) {
  using Opened = Stored<std::unique_ptr<Storage>>;
  const auto unusable = [&](const std::string& what) {
    return StorageError{StorageError::Kind::unusable, "storage plugin " + plugin.name + " " + what,
                        0, 0};
  };
  return barrier(
      [&]() -> Opened {
        auto storage = plugin.info->open_storage(options, services);
        if (!storage) return std::move(storage.error());
        if (!*storage) return unusable("made nothing in open_storage");
        return guard_storage(*std::move(storage), plugin.name, context);
      },
      [&](const std::string& what) -> Opened {
        context.metrics.plugin(plugin.name).count(PluginFault::threw);
        return unusable("threw in open_storage: " + what);
      });
}

}  // namespace postern::plugin_host
