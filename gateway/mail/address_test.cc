#include "mail/address.h"

#include <gtest/gtest.h>

#include <string>

namespace postern::mail {
namespace {

struct Accepted {
  std::string text;
  std::string name;
  std::string address;
};

TEST(ParseMailbox, ReadsEveryAcceptedFormAndNormalizesIt) {
  const std::string local64(64, 'l');
  const std::string label63(63, 'd');
  const Accepted table[] = {
      {"a@b", "", "a@b"},
      {"user@localhost", "", "user@localhost"},
      {"  a@example.org  ", "", "a@example.org"},
      {"<a@example.org>", "", "a@example.org"},
      {"Ann <a@example.org>", "Ann", "a@example.org"},
      {"Ann<a@example.org>", "Ann", "a@example.org"},
      {"Ann   Q. Public < a@example.org >", "Ann Q. Public", "a@example.org"},
      {"\"Public, Ann\" <a@example.org>", "Public, Ann", "a@example.org"},
      {"\"A \\\"B\\\" \\\\\" C <a@example.org>", "A \"B\" \\ C", "a@example.org"},
      {"\"<x@y>, (z)\" <a@example.org>", "<x@y>, (z)", "a@example.org"},
      {"\"\" <a@example.org>", "", "a@example.org"},
      {"Jürgen Groß <j@example.org>", "Jürgen Groß", "j@example.org"},
      {"王小明 👋 <w@example.org>", "王小明 👋", "w@example.org"},
      {"First.Last+Tag@EXAMPLE.Org", "", "First.Last+Tag@example.org"},
      {"!#$%&'*+-/=?^_`{|}~@example.org", "", "!#$%&'*+-/=?^_`{|}~@example.org"},
      {"\"a b\"@example.org", "", "\"a b\"@example.org"},
      {"\"a@b\"@example.org", "", "\"a@b\"@example.org"},
      {"\"a\\\"b\\\\\"@example.org", "", "\"a\\\"b\\\\\"@example.org"},
      {"\"a\\ b\"@example.org", "", "\"a b\"@example.org"},
      {"\"plain\"@example.org", "", "plain@example.org"},
      {"\"pl\\ain\"@example.org", "", "plain@example.org"},
      {"\"a..b\"@example.org", "", "\"a..b\"@example.org"},
      {"\"\"@example.org", "", "\"\"@example.org"},
      {"x <\"a>b\"@example.org>", "x", "\"a>b\"@example.org"},
      {"a@xn--bcher-kva.example", "", "a@xn--bcher-kva.example"},
      {"a@bücher.example", "", "a@xn--bcher-kva.example"},
      {"a@BÜCHER.Example", "", "a@xn--bcher-kva.example"},
      {"a@faß.example", "", "a@xn--fa-hia.example"},  // not "fass": non-transitional
      {"a@例え.テスト", "", "a@xn--r8jz45g.xn--zckzah"},
      {"a@例え。テスト", "", "a@xn--r8jz45g.xn--zckzah"},
      {"a@bu\xCC\x88"
       "cher.example",
       "", "a@xn--bcher-kva.example"},
      {"jürgen@bücher.example", "", "jürgen@bücher.example"},
      {"jürgen@XN--BCHER-kva.example", "", "jürgen@bücher.example"},
      {"用户@例子.example", "", "用户@例子.example"},
      {"\"jür gen\"@example.org", "", "\"jür gen\"@example.org"},
      {"a@1and1.example", "", "a@1and1.example"},
      {"a@3com", "", "a@3com"},
      {"a@r3---sn.example", "", "a@r3---sn.example"},
      {local64 + "@example.org", "", local64 + "@example.org"},
      {"a@" + label63 + ".org", "", "a@" + label63 + ".org"},
  };
  for (const Accepted& row : table) {
    const auto mailbox = parse_mailbox(row.text);
    ASSERT_TRUE(mailbox.ok()) << row.text << ": " << mailbox.error().message;
    EXPECT_EQ(mailbox->name, row.name) << row.text;
    EXPECT_EQ(mailbox->address, row.address) << row.text;
    // What came out is accepted again, unchanged.
    const auto again = parse_mailbox(mailbox->address);
    ASSERT_TRUE(again.ok()) << mailbox->address;
    EXPECT_EQ(again->address, mailbox->address);
  }
}

struct Refused {
  std::string text;
  std::string why;
};

TEST(ParseMailbox, RefusesWhatIsNoSingleAddressAndSaysWhy) {
  const std::string label60(60, 'd');
  const Refused table[] = {
      {"", "it is empty"},
      {"   ", "it is empty"},
      {"plain", "there is no '@'"},
      {"Ann Public", "there is no '@'"},
      {"<>", "the address is empty"},
      {"Ann <>", "the address is empty"},
      {"@example.org", "the local part, before the '@', is empty"},
      {"a@", "the domain, after the '@', is empty"},
      {"a@b@c", "it holds more than one '@'"},
      {".a@example.org", "the local part starts with a dot"},
      {"a.@example.org", "the local part ends with a dot"},
      {"a..b@example.org", "the local part has two dots in a row"},
      {"a b@example.org", "the local part holds a space"},
      {"a[b@example.org", "the local part holds '[', which must stand in double quotes"},
      {"a\"b\"@example.org", "the local part mixes quoted and unquoted text"},
      {"\"a\"b@example.org", "the local part mixes quoted and unquoted text"},
      {"\"ab", "a double quote is never closed"},
      {"\"ab\"", "there is no '@' after the local part"},
      {"O\"Brien <a@example.org>", "a double quote is never closed"},
      {std::string(65, 'l') + "@example.org", "the local part has 65 octets; 64 are allowed"},
      {"a@.example.org", "the domain has an empty label"},
      {"a@example..org", "the domain has an empty label"},
      {"a@.", "the domain has an empty label"},
      {"a@example.org.", "the domain ends with a dot"},
      {"a@-example.org", "a label of the domain starts with a hyphen"},
      {"a@example-.org", "a label of the domain ends with a hyphen"},
      {"a@exa_mple.org", "the domain holds '_'"},
      {"a@exa mple.org", "the domain holds a space"},
      {"a@exa/mple.org", "the domain holds '/'"},
      {"a@" + std::string(64, 'd') + ".org", "a label of the domain has more than 63 octets"},
      {"a@192.0.2.1", "the domain's last label is all digits, as in an IP address"},
      {"a@[192.0.2.1]", "IP addresses in place of a domain are not accepted"},
      {"a@[IPv6:2001:db8::1]", "IP addresses in place of a domain are not accepted"},
      {"a@" + label60 + '.' + label60 + '.' + label60 + '.' + label60 + ".abcdefgh",
       "the address has 254 octets"},
      {"a@b.org, c@d.org", "it holds more than one address"},
      {"a@b.org,c@d.org", "it holds more than one address"},
      {"a@b.org; c@d.org", "it holds more than one address"},
      {"Ann <a@b.org>, c@d.org", "it holds more than one address"},
      {"a@b.org, Ann <c@d.org>", "it holds more than one address"},
      {"Public, Ann <a@b.org>", "it holds more than one address"},
      {"team: a@b.org;", "groups"},
      {"undisclosed-recipients:;", "groups"},
      {"team: Ann <a@b.org>", "groups"},
      {"<@relay.org:a@b.org>", "source routes"},
      {"a@b.org (Ann)", "comments in parentheses"},
      {"(Ann) a@b.org", "comments in parentheses"},
      {"Ann (work) <a@b.org>", "comments in parentheses"},
      {"Ann <a@b.org> (work)", "comments in parentheses"},
      {"a(x)@b.org", "comments in parentheses"},
      {"Ann <a@b.org", "the closing '>' is missing"},
      {"a@b.org>", "there is a '>' without a '<' before it"},
      {"Ann <a@b.org> x", "there is text after the closing '>'"},
      {"a@b.org <a@b.org>", "the name holds '@', which must stand in double quotes"},
      {"Team [x] <a@b.org>", "the name holds '[', which must stand in double quotes"},
      {"a@b.org\r\nBcc: x@y", "it holds a line break"},
      {"a@b.org\n", "it holds a line break"},
      {"\"a\rb\" <a@b.org>", "it holds a line break"},
      {std::string("a\0@b.org", 8), "it holds a control character"},
      {"a\tb@b.org", "it holds a control character"},
      {"\"a\x7F\"@b.org", "it holds a control character"},
      {"a\xC2\x85@b.org", "it holds a control character"},
      {"a\xFF@b.org", "it is not valid UTF-8"},
      {"\xC0\xAF@b.org", "it is not valid UTF-8"},
      {"a@\xED\xA0\x80.org", "it is not valid UTF-8"},
      {"a@xn--zzzzzz999999999.org", "the domain is not a valid internationalized name"},
      {"a@b\xEF\xBC\xBF"
       "c.org",
       "the domain"},  // maps to '_'
      {"a@b\xEF\xBC\xA0"
       "c.org",
       "the domain"},                       // maps to '@'
      {"a@\xE3\x80\x82org", "the domain"},  // an ideographic full stop, then nothing before it
  };
  for (const Refused& row : table) {
    const auto mailbox = parse_mailbox(row.text);
    if (row.why == "the address has 254 octets") {  // exactly at the limit
      EXPECT_TRUE(mailbox.ok()) << row.text.size();
      EXPECT_FALSE(parse_mailbox("a" + row.text).ok());
      continue;
    }
    ASSERT_FALSE(mailbox.ok()) << row.text << " gave " << mailbox->address;
    ASSERT_EQ(mailbox.error().issues.size(), 1U);
    const Issue& issue = mailbox.error().issues.front();
    EXPECT_EQ(issue.code, "invalid_recipient");
    EXPECT_EQ(issue.path, "");
    EXPECT_NE(issue.message.find(row.why), std::string::npos) << row.text << ": " << issue.message;
    EXPECT_EQ(mailbox.error().kind, ErrorKind::invalid);
  }
}

TEST(ParseMailbox, NeverLetsAControlCharacterThrough) {
  for (int c = 0; c < 0x20; ++c) {
    const std::string byte(1, static_cast<char>(c));
    for (const std::string& text :
         {byte + "a@b.org", "a" + byte + "@b.org", "a@b" + byte + ".org", "a@b.org" + byte,
          "\"" + byte + "\" <a@b.org>", "\"\\" + byte + "\"@b.org", "N" + byte + " <a@b.org>"}) {
      EXPECT_FALSE(parse_mailbox(text).ok()) << "control " << c;
    }
  }
}

TEST(Comparable, IsTheSameForSpellingsOfOneAddress) {
  EXPECT_EQ(comparable("Ann@Example.ORG"), "ann@example.org");
  EXPECT_EQ(comparable("JÜRGEN@bücher.example"), "jürgen@xn--bcher-kva.example");
  EXPECT_EQ(comparable("jürgen@xn--bcher-kva.example"), "jürgen@xn--bcher-kva.example");
  // Decomposed and composed letters.
  EXPECT_EQ(comparable("ju\xCC\x88rgen@b.org"), comparable("jürgen@b.org"));
  EXPECT_EQ(comparable("ИВАН@example.org"), "иван@example.org");
}

TEST(Comparable, KeepsDifferentAddressesApart) {
  EXPECT_NE(comparable("a@b.org"), comparable("a@c.org"));
  EXPECT_NE(comparable("straße@b.org"), comparable("strasse@b.org"));
  EXPECT_NE(comparable("a@faß.example"), comparable("a@fass.example"));
}

TEST(Comparable, TakesAnyBytes) {
  EXPECT_EQ(comparable(""), "");
  EXPECT_EQ(comparable("no at"), "no at");
  EXPECT_EQ(comparable("\xFF\xFE@B.org"), "\xFF\xFE@b.org");
  EXPECT_EQ(comparable("Ü"), "ü");
  EXPECT_EQ(comparable("Ü@"), "ü@");
  EXPECT_EQ(comparable("a@\xFF"), "a@\xFF");
}

TEST(DomainOf, IsWhatFollowsTheLastAt) {
  EXPECT_EQ(domain_of("a@b.org"), "b.org");
  EXPECT_EQ(domain_of("\"a@b\"@c.org"), "c.org");
  EXPECT_EQ(domain_of("none"), "");
}

TEST(NeedsSmtputf8, LooksAtTheLocalPartAlone) {
  EXPECT_FALSE(needs_smtputf8("a@xn--bcher-kva.example"));
  EXPECT_FALSE(needs_smtputf8("a@bücher.example"));
  EXPECT_TRUE(needs_smtputf8("ü@b.org"));
  EXPECT_TRUE(needs_smtputf8("ü@bücher.example"));
}

}  // namespace
}  // namespace postern::mail
