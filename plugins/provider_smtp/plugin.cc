// Account type SMTP.
#include "postern/sdk/plugin.h"

#include <memory>
#include <utility>

#include "account.h"
#include "config.h"
#include "engine.h"

namespace postern::smtp {
namespace {

class Adapter : public sdk::ProviderAdapter {
 public:
  explicit Adapter(std::shared_ptr<Account> account) : account_{std::move(account)} {}
  ~Adapter() override { account_->stop(); }
  Adapter(const Adapter&) = delete;
  Adapter& operator=(const Adapter&) = delete;

  void send(std::shared_ptr<const sdk::OutboundMessage> message, const sdk::Attempt& attempt,
            sdk::Completion done) override {
    account_->submit(std::move(message), attempt, std::move(done));
  }

  void validate(sdk::Deadline deadline, std::function<void(sdk::Validation)> done) override {
    account_->validate(deadline, std::move(done));
  }

  void verify_event(std::shared_ptr<const sdk::HookRequest> /*request*/, sdk::Deadline /*deadline*/,
                    std::function<void(sdk::HookResult)> done) override {
    done({sdk::HookResult::Status::ignored, {}, "SMTP accounts receive no events"});
  }

  void drain(sdk::Deadline deadline) override { account_->drain(deadline); }

 private:
  std::shared_ptr<Account> account_;
};

class SmtpProvider : public sdk::Provider {
 public:
  explicit SmtpProvider(sdk::HostServices& host) : engine_{host} {}

  sdk::Expected<std::unique_ptr<sdk::ProviderAdapter>, std::string> open(
      const sdk::ProviderAccount& account) override {
    auto config = read_config(account, engine_.hostname);
    if (!config) return config.error();
    return std::unique_ptr<sdk::ProviderAdapter>{
        std::make_unique<Adapter>(std::make_shared<Account>(engine_, *std::move(config)))};
  }

 private:
  Engine engine_;
};

sdk::Expected<std::unique_ptr<sdk::Provider>, std::string> make_provider(sdk::HostServices& host) {
  return std::unique_ptr<sdk::Provider>{std::make_unique<SmtpProvider>(host)};
}

const sdk::PluginInfo& info() {
  static const sdk::PluginInfo plugin = [] {
    sdk::PluginInfo made;
    made.kind = sdk::PluginKind::provider;
    made.name = "SMTP";
    made.version = POSTERN_VERSION;
    made.description = "Relays through any SMTP server.";
    made.settings = settings_schema();
    made.credentials = credentials_schema();
    made.capabilities.supports_smtputf8 = true;
    made.capabilities.independent_envelope = true;
    made.make_provider = &make_provider;
    return made;
  }();
  return plugin;
}

}  // namespace
}  // namespace postern::smtp

POSTERN_PLUGIN(postern::smtp::info)
