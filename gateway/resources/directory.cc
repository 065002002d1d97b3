#include "resources/directory.h"

#include <algorithm>

#include "resources/codec.h"

namespace postern::resources {

const ProviderAccount* OrganizationView::account(std::string_view id) const {
  const auto found = std::find_if(accounts.begin(), accounts.end(),
                                  [&](const ProviderAccount& a) { return a.id == id; });
  return found == accounts.end() ? nullptr : &*found;
}

Directory::Directory(sdk::Storage& storage, ThreadPool& readers, const SecretBox& secrets,
                     const Clock& clock, sdk::Logger& logger, DirectoryOptions options)
    : storage_(storage),
      readers_(readers),
      secrets_(secrets),
      clock_(clock),
      logger_(logger),
      options_(options),
      keys_(options.max_keys),
      organizations_(options.max_organizations),
      fresh_at_(clock.monotonic()) {}

Directory::~Directory() { stop(); }

Result<Done> Directory::start(OnChange on_change) {
  on_change_ = std::move(on_change);
  const auto revision = storage_.last_revision();
  if (!revision) return failed(revision.error(), "reading the change feed");
  revision_ = *revision;
  fresh_at_ = clock_.monotonic();
  feed_ = std::thread{[this] { follow(); }};
  return Done{};
}

void Directory::stop() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  stop_changed_.notify_all();
  if (feed_.joinable()) feed_.join();
}

Error Directory::failed(const sdk::StorageError& error, const char* what) {
  logger_.log(sdk::LogLevel::error, "storage failed", {{"while", what}, {"error", error.message}});
  return to_error(error);
}

bool Directory::stale() const { return clock_.monotonic() - fresh_at_ > options_.max_stale; }

void Directory::find_key(const std::string& sha256_hex, OnKey done) {
  {
    std::unique_lock lock{mutex_};
    if (stale()) {
      lock.unlock();
      return done(Error{ErrorKind::unavailable,
                        "Keys can't be checked now: storage does not answer; try again",
                        {},
                        std::chrono::seconds{5}});
    }
    if (auto holder = keys_.get(sha256_hex)) {
      lock.unlock();
      return done(std::move(holder));
    }
  }
  auto job = [this, sha256_hex, done] { done(load_key(sha256_hex)); };
  if (!readers_.run(std::move(job))) {
    done(Error{ErrorKind::unavailable, "The gateway is busy; try again", {}, std::chrono::seconds{1}});
  }
}

void Directory::find_organization(const std::string& id, OnOrganization done) {
  {
    std::unique_lock lock{mutex_};
    if (auto view = organizations_.get(id)) {
      lock.unlock();
      return done(std::move(view));
    }
  }
  auto job = [this, id, done] { done(load_organization(id)); };
  if (!readers_.run(std::move(job))) {
    done(Error{ErrorKind::unavailable, "The gateway is busy; try again", {}, std::chrono::seconds{1}});
  }
}

Result<std::shared_ptr<const KeyHolder>> Directory::load_key(const std::string& sha256_hex) {
  std::uint64_t before = 0;
  {
    const std::lock_guard lock{mutex_};
    before = invalidations_;
  }
  const auto document = storage_.document_by_key(kApiKeyKind, sha256_hex);
  if (!document) return failed(document.error(), "reading an API key");
  if (!document->has_value()) return std::shared_ptr<const KeyHolder>{};
  auto key = api_key_from(**document);
  if (!key) {
    logger_.log(sdk::LogLevel::error, key.error().message, {});
    return Error{ErrorKind::internal, "The key's record can't be read", {}, {}};
  }
  auto organization = load_organization(key->organization);
  if (!organization) return organization.error();
  if (!*organization) return std::shared_ptr<const KeyHolder>{};
  auto holder = std::make_shared<const KeyHolder>(
      KeyHolder{std::make_shared<const ApiKey>(*std::move(key)), *organization});
  const std::lock_guard lock{mutex_};
  if (invalidations_ == before) keys_.put(sha256_hex, holder);
  return std::shared_ptr<const KeyHolder>{holder};
}

Result<std::shared_ptr<const OrganizationView>> Directory::load_organization(const std::string& id) {
  std::uint64_t before = 0;
  {
    const std::lock_guard lock{mutex_};
    if (auto view = organizations_.get(id)) return view;
    before = invalidations_;
  }
  const auto document = storage_.document(kOrganizationKind, id);
  if (!document) return failed(document.error(), "reading an organization");
  if (!document->has_value()) return std::shared_ptr<const OrganizationView>{};
  OrganizationView view;
  auto organization = organization_from(**document);
  if (!organization) {
    logger_.log(sdk::LogLevel::error, organization.error().message, {{"organization", id}});
    return Error{ErrorKind::internal, "The organization's record can't be read", {}, {}};
  }
  view.organization = *std::move(organization);

  sdk::DocumentQuery query;
  query.kind = kProviderAccountKind;
  query.organization = id;
  query.limit = 500;
  for (;;) {
    const auto accounts = storage_.documents(query);
    if (!accounts) return failed(accounts.error(), "reading provider accounts");
    for (const auto& each : *accounts) {
      auto account = provider_account_from(each, secrets_);
      if (account) {
        view.accounts.push_back(*std::move(account));
      } else {
        // One broken account must not take the organization's others down.
        logger_.log(sdk::LogLevel::error, account.error().message, {{"organization", id}});
      }
    }
    if (accounts->size() < query.limit) break;
    query.after_id = accounts->back().id;
  }
  std::sort(view.accounts.begin(), view.accounts.end(), [](const auto& a, const auto& b) {
    return a.priority != b.priority ? a.priority < b.priority : a.slug < b.slug;
  });
  auto shared = std::make_shared<const OrganizationView>(std::move(view));
  const std::lock_guard lock{mutex_};
  if (invalidations_ == before) organizations_.put(id, shared);
  return shared;
}

void Directory::follow() {
  std::unique_lock lock{mutex_};
  while (!stopping_) {
    lock.unlock();
    read_feed();
    lock.lock();
    stop_changed_.wait_for(lock, options_.poll, [this] { return stopping_; });
  }
}

void Directory::read_feed() {
  static constexpr std::uint32_t kBatch = 500;
  for (;;) {
    const auto asked_at = clock_.monotonic();
    const auto changes = storage_.changes(revision_, kBatch);
    if (!changes) {
      logger_.log(sdk::LogLevel::warning, "the change feed can't be read",
                  {{"error", changes.error().message}});
      return;
    }
    std::vector<std::string> touched;
    {
      const std::lock_guard lock{mutex_};
      fresh_at_ = asked_at;
      for (const auto& change : *changes) {
        revision_ = std::max(revision_, change.revision);
        if (change.kind == kApiKeyKind) {
          keys_.erase_if([&](const KeyHolder& holder) { return holder.key->id == change.id; });
        } else if (change.kind == kOrganizationKind || change.kind == kProviderAccountKind) {
          organizations_.erase(change.organization);
          keys_.erase_if([&](const KeyHolder& holder) {
            return holder.organization->organization.id == change.organization;
          });
          touched.push_back(change.organization);
        } else {
          continue;
        }
        ++invalidations_;
      }
    }
    std::sort(touched.begin(), touched.end());
    touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
    if (on_change_) {
      for (const auto& organization : touched) on_change_(organization);
    }
    if (changes->size() < kBatch) return;
  }
}

}  // namespace postern::resources
