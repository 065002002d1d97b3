// The plugin, loaded as the gateway would, and a server that does what the test wants.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "provider_harness.h"
#include "smtp_peer.h"

namespace postern::smtp {

class SmtpSession : public ::testing::Test {
 protected:
  using Reaction = SmtpPeer::Reaction;
  using Step = SmtpPeer::Step;

  ~SmtpSession() override {
    adapter_.reset();
    provider_.reset();
    peer_.reset();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  SmtpPeer& start(SmtpPeer::Options options) {
    peer_ = std::make_unique<SmtpPeer>(std::move(options));
    return *peer_;
  }
  SmtpPeer& start(SmtpPeer::React react) {
    SmtpPeer::Options options;
    options.react = std::move(react);
    return start(std::move(options));
  }
  // A peer where the first of these verbs that comes gets this.
  SmtpPeer& start_with(const std::string& verb, Reaction reaction) {
    return start(
        [verb, reaction](const Step& step) { return step.verb == verb ? reaction : Reaction{}; });
  }

  sdk::Expected<std::unique_ptr<sdk::ProviderAdapter>, std::string> try_open(
      const conformance::Written& settings, const conformance::Written& credentials = {}) {
    const sdk::PluginInfo& plugin = conformance::load_plugin(PROVIDER_SMTP);
    if (!provider_) {
      auto provider = plugin.make_provider(host_.services);
      if (!provider) throw std::runtime_error(provider.error());
      provider_ = *std::move(provider);
    }
    conformance::Written all{{"host", "127.0.0.1"}, {"port", std::to_string(peer_->port())}};
    all.insert(all.end(), settings.begin(), settings.end());
    sdk::ProviderAccount account;
    account.id = "relay";
    account.settings = conformance::complete(plugin.settings, all);
    account.credentials = conformance::complete(plugin.credentials, credentials);
    return provider_->open(account);
  }
  sdk::ProviderAdapter& open(const conformance::Written& settings = {{"security", "none"}},
                             const conformance::Written& credentials = {}) {
    auto adapter = try_open(settings, credentials);
    if (!adapter) throw std::runtime_error(adapter.error());
    adapter_ = *std::move(adapter);
    return *adapter_;
  }

  std::vector<sdk::Outcome> send(std::vector<std::string> recipients = {"a@example.org"}) {
    return conformance::send_and_wait(*adapter_, conformance::make_message(std::move(recipients)),
                                      std::chrono::seconds{5});
  }
  sdk::Outcome send_one() { return send().at(0); }

  // A file with this certificate, for ca_file.
  std::string file_of(const std::string& pem) {
    if (folder_.empty()) {
      std::string pattern =
          (std::filesystem::temp_directory_path() / "postern-smtp-XXXXXX").string();
      if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
      folder_ = pattern;
    }
    const std::string path = folder_ + "/ca.pem";
    std::ofstream{path} << pem;
    return path;
  }

  conformance::TestHost host_;
  std::unique_ptr<SmtpPeer> peer_;
  std::unique_ptr<sdk::Provider> provider_;
  std::unique_ptr<sdk::ProviderAdapter> adapter_;
  std::string folder_;
};

}  // namespace postern::smtp
