#include "config/interpolate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/test_files.h"

namespace postern::config {
namespace {

using test::Environment;
using test::TemporaryDirectory;
using testing::ElementsAre;

TEST(Interpolate, LeavesTextWithoutReferencesAlone) {
  for (const char* text : {"", "plain", "$", "$$", "$5 {x}", "a$", "}"}) {
    const Interpolation result = interpolate(text, "/");
    EXPECT_EQ(result.text, text);
    EXPECT_FALSE(result.replaced);
    EXPECT_TRUE(result.problems.empty());
  }
}

TEST(Interpolate, ReplacesEnvironmentVariablesWholeAndEmbedded) {
  const Environment name{"POSTERN_TEST_A", "one"};
  const Environment empty{"POSTERN_TEST_EMPTY", ""};
  EXPECT_EQ(interpolate("${env:POSTERN_TEST_A}", "/").text, "one");
  EXPECT_EQ(interpolate("<${env:POSTERN_TEST_A}${env:POSTERN_TEST_EMPTY}>", "/").text, "<one>");
  EXPECT_TRUE(interpolate("${env:POSTERN_TEST_EMPTY}", "/").replaced);
}

TEST(Interpolate, NeverInterpolatesWhatCameFromOutside) {
  const Environment inner{"POSTERN_TEST_A", "${env:HOME}"};
  EXPECT_EQ(interpolate("${env:POSTERN_TEST_A}", "/").text, "${env:HOME}");
}

TEST(Interpolate, TwoDollarsEscape) {
  EXPECT_EQ(interpolate("$${env:HOME}", "/").text, "${env:HOME}");
  EXPECT_EQ(interpolate("a $${ b", "/").text, "a ${ b");
  EXPECT_FALSE(interpolate("$${env:HOME}", "/").replaced);
}

TEST(Interpolate, DropsOneNewlineAtTheEndOfAFile) {
  const TemporaryDirectory directory;
  directory.write("unix", "secret\n");
  directory.write("dos", "secret\r\n");
  directory.write("two", "secret\n\n");
  directory.write("none", "secret");
  EXPECT_EQ(interpolate("${file:unix}", directory.path()).text, "secret");
  EXPECT_EQ(interpolate("${file:dos}", directory.path()).text, "secret");
  EXPECT_EQ(interpolate("${file:two}", directory.path()).text, "secret\n");
  EXPECT_EQ(interpolate("a${file:./none}b", directory.path()).text, "asecretb");
  EXPECT_EQ(interpolate("${file:" + directory.path() + "/none}", "/").text, "secret");
}

TEST(Interpolate, NamesWhatIsMissing) {
  EXPECT_THAT(interpolate("${env:POSTERN_TEST_UNSET} ${file:absent/key}", "/nowhere").problems,
              ElementsAre("the environment variable POSTERN_TEST_UNSET is not set",
                          "the file /nowhere/absent/key does not exist"));
}

TEST(Interpolate, RefusesFilesThatAreTooLargeOrNotRegular) {
  const TemporaryDirectory directory;
  directory.write("large", std::string(kMaxSecretFileBytes + 1, 'x'));
  directory.write("fits", std::string(kMaxSecretFileBytes, 'x'));
  EXPECT_THAT(interpolate("${file:large}", directory.path()).problems,
              ElementsAre("the file " + directory.path() + "/large is larger than 64 KiB"));
  EXPECT_EQ(interpolate("${file:fits}", directory.path()).text.size(), kMaxSecretFileBytes);
  EXPECT_THAT(interpolate("${file:/dev/zero}", "/").problems,
              ElementsAre("the file /dev/zero is not a regular file"));
  EXPECT_THAT(interpolate("${file:/}", "/").problems,
              ElementsAre("the file / is not a regular file"));
}

TEST(Interpolate, RefusesOtherForms) {
  EXPECT_THAT(interpolate("${HOME}", "/").problems,
              ElementsAre("\"${…}\" is neither ${env:NAME} nor ${file:PATH}"));
  EXPECT_THAT(interpolate("${env:}", "/").problems,
              ElementsAre("${env:NAME} needs a name of letters, digits and \"_\""));
  EXPECT_THAT(interpolate("${env:A B}", "/").problems,
              ElementsAre("${env:NAME} needs a name of letters, digits and \"_\""));
  EXPECT_THAT(interpolate("${file:}", "/").problems, ElementsAre("${file:PATH} needs a path"));
  EXPECT_THAT(interpolate("${env:A", "/").problems, ElementsAre("\"${\" is not closed by \"}\""));
  EXPECT_THAT(interpolate("${file:${env:A}}", "/").problems,
              ElementsAre("\"${\" inside \"${…}\" is not understood"));
  EXPECT_EQ(interpolate("${HOME}", "/").hint,
            "write ${env:NAME} or ${file:PATH}; $${ stands for ${ itself");
}

TEST(WholeFileReference, IsThePathOnlyWhenNothingElseIsInTheText) {
  EXPECT_EQ(whole_file_reference("${file:../var/master.key}", "/etc/postern"),
            "/etc/var/master.key");
  EXPECT_EQ(whole_file_reference("${file:/run/key}", "/etc/postern"), "/run/key");
  EXPECT_EQ(whole_file_reference("x${file:a}", "/"), "");
  EXPECT_EQ(whole_file_reference("${file:a}${file:b}", "/"), "");
  EXPECT_EQ(whole_file_reference("${file:}", "/"), "");
  EXPECT_EQ(whole_file_reference("${file:", "/"), "");
  EXPECT_EQ(whole_file_reference("${env:A}", "/"), "");
}

}  // namespace
}  // namespace postern::config
