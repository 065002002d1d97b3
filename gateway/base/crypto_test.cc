#include "base/crypto.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace postern {
namespace {

const std::string kKey(32, 'k');

TEST(Crypto, HashesTheVectorsOfFips180AndRfc4231) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_encode(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(SecretBox, OpensWhatItSealedAndNeverSealsTheSameTwice) {
  const auto box = SecretBox::make(kKey);
  ASSERT_TRUE(box);
  const std::string sealed = box->seal("p4ssword", "account/1");
  EXPECT_NE(sealed, box->seal("p4ssword", "account/1"));
  EXPECT_EQ(sealed.find("p4ssword"), std::string::npos);
  const auto opened = box->open(sealed, "account/1");
  ASSERT_TRUE(opened);
  EXPECT_EQ(*opened, "p4ssword");
}

TEST(SecretBox, RefusesAnotherKeyAnotherRecordAndAChangedValue) {
  const auto box = SecretBox::make(kKey);
  const auto other = SecretBox::make(std::string(32, 'x'));
  std::string sealed = box->seal("p4ssword", "account/1");
  EXPECT_FALSE(other->open(sealed, "account/1"));
  EXPECT_FALSE(box->open(sealed, "account/2"));
  EXPECT_NE(box->check_value(), other->check_value());
  sealed[sealed.size() / 2] = sealed[sealed.size() / 2] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(box->open(sealed, "account/1"));
  EXPECT_FALSE(box->open("", "account/1"));
}

TEST(SecretBox, RefusesAShortMasterKey) { EXPECT_FALSE(SecretBox::make("short")); }

}  // namespace
}  // namespace postern
