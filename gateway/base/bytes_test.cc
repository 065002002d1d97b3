#include "base/bytes.h"

#include <gtest/gtest.h>

#include <array>

namespace postern {
namespace {

TEST(Base64, EncodesTheVectorsOfRfc4648) {
  const std::array<std::pair<const char*, const char*>, 7> vectors{{{"", ""},
                                                                    {"f", "Zg=="},
                                                                    {"fo", "Zm8="},
                                                                    {"foo", "Zm9v"},
                                                                    {"foob", "Zm9vYg=="},
                                                                    {"fooba", "Zm9vYmE="},
                                                                    {"foobar", "Zm9vYmFy"}}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(base64_encode(plain), encoded);
    EXPECT_EQ(base64_decode(encoded), plain);
  }
}

TEST(Base64, RefusesWhatIsNone) {
  for (const char* bad : {"Z", "Zg=", "Zg===", "Z===", "=Zg=", "Zm9v Zg==", "Zm9$", "Zh=="}) {
    EXPECT_FALSE(base64_decode(bad)) << bad;
  }
  EXPECT_EQ(base64_decode("Zm\r\n9v", true), "foo");
  EXPECT_EQ(base64_decode("_-8"), "\xff\xef");
}

TEST(Utf8, RefusesOverlongSurrogateAndCutForms) {
  for (const char* bad : {"\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82",
                          "\x80", "\xff", "a\xc3"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
  EXPECT_TRUE(is_utf8("Grüße, 世界 🎉"));
  EXPECT_EQ(utf8_length("世界"), 2U);
}

TEST(Nearest, FindsWhatWasMeantAndNothingFarOff) {
  const std::array<std::string, 3> known{"subject", "replyTo", "metadata"};
  EXPECT_EQ(nearest("reply_to", known), "replyTo");
  EXPECT_EQ(nearest("subjcet", known), "subject");
  EXPECT_EQ(nearest("zzzzzzzz", known), "");
}

}  // namespace
}  // namespace postern
