// The provider suite, run by provider_smtp against a server that does what it is told.
#include "provider_conformance.h"
#include "smtp_peer.h"

namespace postern::smtp {
namespace {

using conformance::Arrived;
using conformance::PeerMood;
using Reaction = SmtpPeer::Reaction;

class SmtpBench : public conformance::ProviderBench {
 public:
  SmtpBench() : peer_{SmtpPeer::Options{}} {}

  const sdk::PluginInfo& plugin() override { return conformance::load_plugin(PROVIDER_SMTP); }

  sdk::ProviderAccount account() override {
    sdk::ProviderAccount account;
    account.id = "peer";
    account.settings = conformance::complete(
        plugin().settings,
        {{"host", "127.0.0.1"}, {"port", std::to_string(peer_.port())}, {"security", "none"}});
    account.credentials = conformance::complete(plugin().credentials, {});
    return account;
  }

  void set_mood(PeerMood mood) override {
    peer_.react([mood](const SmtpPeer::Step& step) {
      switch (mood) {
        case PeerMood::accepting:
          break;
        case PeerMood::silent:
          if (step.verb == "CONNECT") return Reaction::silence();
          break;
        case PeerMood::silent_at_end:
          if (step.verb == "CONTENT") return Reaction::silence();
          break;
        case PeerMood::cut_before_end:
          if (step.verb == "MAIL") return Reaction::cut();
          break;
        case PeerMood::cut_at_end:
          if (step.verb == "CONTENT") return Reaction::cut();
          break;
      }
      return Reaction{};
    });
  }

  std::vector<Arrived> arrived(std::size_t count, std::chrono::milliseconds timeout) override {
    std::vector<Arrived> out;
    for (const SmtpPeer::Mail& mail : peer_.mails(count, timeout)) {
      out.push_back({mail.sender, mail.recipients, mail.content});
    }
    return out;
  }

 private:
  SmtpPeer peer_;
};

std::unique_ptr<conformance::ProviderBench> make_bench() {
  return std::make_unique<SmtpBench>();
}

}  // namespace
}  // namespace postern::smtp

namespace postern::conformance {
INSTANTIATE_TEST_SUITE_P(Smtp, ProviderConformance, ::testing::Values(&smtp::make_bench));
INSTANTIATE_TEST_SUITE_P(Smtp, RemoteProviderConformance, ::testing::Values(&smtp::make_bench));
}  // namespace postern::conformance
