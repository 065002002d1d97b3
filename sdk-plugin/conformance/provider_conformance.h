// The suite that every provider plugin runs. A test program defines a peer that it controls and
// instantiates the suites with it, the second one where there is somebody at the other end who can
// fail:
//
//   INSTANTIATE_TEST_SUITE_P(Smtp, ProviderConformance, ::testing::Values(&make_smtp_bench));
//   INSTANTIATE_TEST_SUITE_P(Smtp, RemoteProviderConformance, ::testing::Values(&make_smtp_bench));
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "provider_harness.h"

namespace postern::conformance {

// How the provider's side behaves, until it is told otherwise.
enum class PeerMood {
  accepting,       // takes every mail
  silent,          // takes connections, and never says a word
  silent_at_end,   // takes the whole content, and never answers it
  cut_before_end,  // closes when it is asked for something, before it has any content
  cut_at_end,      // closes when it has the whole content, without an answer
};

// A mail as it arrived.
struct Arrived {
  std::string sender;
  std::vector<std::string> recipients;
  std::string content;  // as OutboundMessage::mime, where the provider takes that
};

// A provider plugin with a peer. One per test; the destructor ends the peer.
class ProviderBench {
 public:
  virtual ~ProviderBench() = default;
  virtual const sdk::PluginInfo& plugin() = 0;
  // An account that leads to the peer and may deliver.
  virtual sdk::ProviderAccount account() = 0;
  // Never called where only ProviderConformance is instantiated.
  virtual void set_mood(PeerMood mood) = 0;
  // Everything that arrived so far, at least `count` mails when there are so many by the deadline.
  virtual std::vector<Arrived> arrived(std::size_t count, std::chrono::milliseconds timeout) = 0;
};
using MakeBench = std::unique_ptr<ProviderBench> (*)();

class ProviderConformance : public ::testing::TestWithParam<MakeBench> {
 protected:
  void SetUp() override;
  void TearDown() override;

  sdk::ProviderAdapter& adapter() { return *adapter_; }

  TestHost host_;
  std::unique_ptr<ProviderBench> bench_;
  std::unique_ptr<sdk::Provider> provider_;
  std::unique_ptr<sdk::ProviderAdapter> adapter_;
};

class RemoteProviderConformance : public ProviderConformance {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RemoteProviderConformance);

}  // namespace postern::conformance
