#include "provider_conformance.h"

namespace postern::conformance {

void ProviderConformance::SetUp() {
  bench_ = GetParam()();
  auto provider = bench_->plugin().make_provider(host_.services);
  ASSERT_TRUE(provider.ok()) << provider.error();
  provider_ = *std::move(provider);
  auto adapter = provider_->open(bench_->account());
  ASSERT_TRUE(adapter.ok()) << adapter.error();
  adapter_ = *std::move(adapter);
}

void ProviderConformance::TearDown() {
  adapter_.reset();
  provider_.reset();
  bench_.reset();
}

}  // namespace postern::conformance
