#include "queue/delivery_state.h"

#include <gtest/gtest.h>

namespace postern::queue {
namespace {

TEST(DeliveryState, IsReadAsItWasWritten) {
  for (const DeliveryState& state :
       {DeliveryState{2048, false, false, {}}, DeliveryState{1, true, true, {"a\"b", "c"}}}) {
    const auto read = decode_delivery_state(encode(state));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->body_bytes, state.body_bytes);
    EXPECT_EQ(read->ambiguous, state.ambiguous);
    EXPECT_EQ(read->held, state.held);
    EXPECT_EQ(read->tried, state.tried);
  }
}

TEST(DeliveryState, SaysWhatCannotBeRead) {
  for (const char* bad : {"", "{", "[]", "{}", "{\"body_bytes\":\"x\"}"}) {
    EXPECT_FALSE(decode_delivery_state(bad)) << bad;
  }
}

}  // namespace
}  // namespace postern::queue
