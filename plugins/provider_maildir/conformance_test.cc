// The provider suite, run by provider_maildir on a folder of its own.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "provider_conformance.h"

namespace postern::maildir {
namespace {

namespace fs = std::filesystem;

class MaildirBench : public conformance::ProviderBench {
 public:
  MaildirBench() {
    std::string pattern = (fs::temp_directory_path() / "postern-maildir-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    root_ = pattern;
  }
  ~MaildirBench() override { fs::remove_all(root_); }
  MaildirBench(const MaildirBench&) = delete;
  MaildirBench& operator=(const MaildirBench&) = delete;

  const sdk::PluginInfo& plugin() override { return conformance::load_plugin(PROVIDER_MAILDIR); }

  sdk::ProviderAccount account() override {
    sdk::ProviderAccount account;
    account.id = "outbox";
    account.settings =
        conformance::complete(plugin().settings, {{"path", (root_ / "outbox").string()}});
    return account;
  }

  // There is nobody at the other end of a folder.
  void set_mood(conformance::PeerMood /*mood*/) override {}

  // Deliveries are complete when they are answered, so there is nothing to wait for.
  std::vector<conformance::Arrived> arrived(std::size_t /*count*/,
                                            std::chrono::milliseconds /*timeout*/) override {
    std::vector<conformance::Arrived> mails;
    if (!fs::exists(root_ / "outbox" / "new")) return mails;
    for (const fs::directory_entry& entry : fs::directory_iterator{root_ / "outbox" / "new"}) {
      mails.push_back(read(entry.path()));
    }
    return mails;
  }

 private:
  static conformance::Arrived read(const fs::path& path) {
    conformance::Arrived mail;
    std::ifstream in{path, std::ios::binary};
    std::string line;
    bool envelope = true;
    while (std::getline(in, line)) {
      if (envelope && line.starts_with("Return-Path: <")) {
        mail.sender = line.substr(14, line.size() - 15);
      } else if (envelope && line.starts_with("Delivered-To: ")) {
        mail.recipients.push_back(line.substr(14));
      } else {
        envelope = false;
        mail.content += line + "\r\n";
      }
    }
    return mail;
  }

  fs::path root_;
};

std::unique_ptr<conformance::ProviderBench> make_bench() {
  return std::make_unique<MaildirBench>();
}

}  // namespace
}  // namespace postern::maildir

namespace postern::conformance {
INSTANTIATE_TEST_SUITE_P(Maildir, ProviderConformance, ::testing::Values(&maildir::make_bench));
}
