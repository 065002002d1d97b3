#include "config/yaml.h"

#include <gtest/gtest.h>

#include <string>

namespace postern::config {
namespace {

// "line:column: path: message (hint)" of the only problem.
std::string problem_of(std::string_view text) {
  const Tree tree = parse_yaml(text);
  if (tree.problems.size() != 1) return std::to_string(tree.problems.size()) + " problems";
  const YamlProblem& problem = tree.problems[0];
  std::string out = std::to_string(problem.mark.line) + ':' + std::to_string(problem.mark.column);
  if (!problem.path.empty()) out += ": " + problem.path;
  out += ": " + problem.message;
  if (!problem.hint.empty()) out += " (" + problem.hint + ")";
  return out;
}

TEST(Yaml, KeepsOrderAndPlaces) {
  const Tree tree = parse_yaml("a: 1\nb:\n  - x\n  - { c: \"y\" }\nd:\n");
  ASSERT_TRUE(tree.root);
  ASSERT_EQ(tree.root->entries.size(), 3U);
  EXPECT_EQ(tree.root->entries[0].key, "a");
  const Node& list = *tree.root->find("b")->value;
  ASSERT_EQ(list.items.size(), 2U);
  EXPECT_EQ(list.items[0]->text, "x");
  EXPECT_EQ(list.items[0]->mark.line, 3);
  EXPECT_EQ(list.items[0]->mark.column, 5);
  const Node::Entry* inner = list.items[1]->find("c");
  ASSERT_NE(inner, nullptr);
  EXPECT_EQ(inner->mark.line, 4);
  EXPECT_EQ(inner->mark.column, 7);
  EXPECT_EQ(inner->value->mark.column, 10);
  EXPECT_EQ(tree.root->find("d")->value->kind, Node::Kind::null);
  EXPECT_EQ(tree.root->find("e"), nullptr);
}

TEST(Yaml, CountsColumnsInCharacters) {
  const Tree tree = parse_yaml("{ \"äöü€\": a, b: c, \"€\": d }");
  ASSERT_TRUE(tree.root);
  EXPECT_EQ(tree.root->entries[1].mark.column, 14);
  EXPECT_EQ(tree.root->entries[1].value->mark.column, 17);
  EXPECT_EQ(tree.root->entries[2].value->mark.column, 25);
}

TEST(Yaml, ByteOrderMarkDoesNotMoveColumns) {
  const Tree tree = parse_yaml(
      "\xEF\xBB\xBF"
      "a: b");
  ASSERT_TRUE(tree.root);
  EXPECT_EQ(tree.root->entries[0].key, "a");
  EXPECT_EQ(tree.root->entries[0].value->mark.column, 4);
}

TEST(Yaml, EmptyTextIsNull) {
  for (const char* text : {"", "\n", "# only a comment\n", "---\n", "~"}) {
    const Tree tree = parse_yaml(text);
    ASSERT_TRUE(tree.root) << text;
    EXPECT_EQ(tree.root->kind, Node::Kind::null) << text;
    EXPECT_TRUE(tree.problems.empty()) << text;
  }
}

TEST(Yaml, ReportsEveryDuplicateKeyAndKeepsTheFirst) {
  const Tree tree = parse_yaml("a: 1\nb: { c: 1, c: [2] }\na: 3\na: 4\n");
  ASSERT_TRUE(tree.root);
  EXPECT_EQ(tree.root->find("a")->value->text, "1");
  ASSERT_EQ(tree.problems.size(), 3U);
  EXPECT_EQ(tree.problems[0].path, "b.c");
  EXPECT_EQ(tree.problems[0].mark.column, 12);
  EXPECT_EQ(tree.problems[1].path, "a");
  EXPECT_EQ(tree.problems[1].mark.line, 3);
  EXPECT_EQ(tree.problems[2].mark.line, 4);
  EXPECT_EQ(tree.problems[2].message, "is given twice; the first is on line 1");
}

TEST(Yaml, AliasesShareTheirValue) {
  const Tree tree = parse_yaml("a: &x { b: c }\nd: *x\n");
  ASSERT_TRUE(tree.root);
  EXPECT_EQ(tree.root->find("a")->value, tree.root->find("d")->value);
}

TEST(Yaml, RefusesAliasesThatExpandBeyondTheLimit) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 8; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += (j ? ", " : "") + last;
    bomb += "]\n";
  }
  EXPECT_EQ(problem_of(bomb),
            "6:25: a5[3]: the file holds more than 500000 values, aliases expanded");
}

TEST(Yaml, RefusesDepthBuiltOfAliases) {
  std::string chain = "a0: &a0 [x]\n";
  for (int i = 1; i < 30; ++i) {
    chain += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) +
             "]\n";
  }
  EXPECT_NE(problem_of(chain).find("nested more than 16 deep"), std::string::npos);
}

TEST(Yaml, RefusesDeepNestingOfAnyKind) {
  EXPECT_TRUE(parse_yaml(std::string(16, '[') + std::string(16, ']')).root);
  EXPECT_NE(
      problem_of(std::string(17, '[') + std::string(17, ']')).find("nested more than 16 deep"),
      std::string::npos);
  for (const char* unit : {"[", "{a: ", "- ", "? ", "{", "[{", "!", "&a ", "*", "- - "}) {
    std::string text;
    while (text.size() < 100'000) text += unit;
    EXPECT_FALSE(parse_yaml(text).root) << unit;
  }
}

TEST(Yaml, RefusesAnAliasInsideItsOwnValue) {
  EXPECT_EQ(problem_of("a: &x [ *x ]"),
            "1:9: a[0]: an alias stands inside the value that it names");
}

TEST(Yaml, RefusesWhatWouldBeReadOtherwiseThanMeant) {
  EXPECT_EQ(problem_of("a: &x { b: c }\nd:\n  <<: *x\n"),
            "3:3: d: merge keys (\"<<\") are not understood (write the keys out, or give the whole "
            "value an alias)");
  EXPECT_EQ(problem_of("a: !secret b\n"),
            "1:4: a: tags are not understood (a value that begins with \"!\" needs quotes)");
  EXPECT_EQ(problem_of("a: b\n---\nc: d\n"),
            "3:1: a second document begins here (a configuration is one document: remove the "
            "\"---\")");
  EXPECT_EQ(problem_of("a: b\nc: \"\x01\"\n"), "2:5: a control character (remove it)");
  EXPECT_EQ(problem_of(std::string_view{"a: b\nc: d\0e", 11}),
            "2:5: a control character (remove it)");
  EXPECT_EQ(problem_of("a: b\nü: caf\xE9\n"), "2:7: this is not UTF-8 (save the file as UTF-8)");
  EXPECT_EQ(problem_of("? [a, b]\n: c\n"),
            "1:3: a key must be one word of text (a value that begins with \"{\" or \"[\" needs "
            "quotes, and so does ${…} inside { } or [ ])");
  EXPECT_EQ(problem_of("\"" + std::string(129, 'k') + "\": 1"),
            "1:1: a key is longer than 128 bytes");
  EXPECT_EQ(problem_of(std::string(kMaxFileBytes + 1, '\n')), "0:0: the file is larger than 4 MiB");
}

TEST(Yaml, SaysInPlainWordsWhereTheSyntaxIsWrong) {
  EXPECT_EQ(problem_of("a:\n  - b\n c: d\n"),
            "3:2: this mapping goes on with a line that is not \"key: value\" (check the "
            "indentation, and the line before)");
  EXPECT_EQ(problem_of("a: b: c\n"),
            "1:5: \":\" is not expected here (a value that holds \": \" needs quotes)");
  EXPECT_EQ(problem_of("a: { b: c\n"), "2:1: \"{\" is not closed by \"}\"");
  EXPECT_EQ(problem_of("a: [b, c\n"), "2:1: \"[\" is not closed by \"]\"");
  EXPECT_EQ(problem_of("a: \"b\n"), "1:4: the quote is not closed");
  EXPECT_EQ(problem_of("a: { b: \"${env:X} }"), "1:20: the quote is not closed");
  EXPECT_EQ(problem_of("a: \"b"), "1:6: the quote is not closed");
  EXPECT_EQ(problem_of("a: &x 'b\'\'\n\n"), "1:7: the quote is not closed");
  EXPECT_EQ(problem_of("a: \"b\\\"\n"), "1:4: the quote is not closed");
  EXPECT_EQ(problem_of("a: 'b\'\''\n"), "0 problems");
  EXPECT_EQ(problem_of("a: &x \"b\\\\\"\n"), "0 problems");
  EXPECT_EQ(problem_of("a: @b\n"),
            "1:4: a value can't begin with this character (put it in quotes)");
  EXPECT_EQ(problem_of("a: \"\\q\"\n"),
            "1:7: unknown escape after \"\\\" (use single quotes, where \"\\\" means itself)");
  EXPECT_EQ(problem_of("a: { b: ${env:X}, c: d }\n"),
            "1:10: \"{\" is not closed by \"}\" (inside { } or [ ], ${…} needs quotes: "
            "\"${env:NAME}\")");
}

TEST(Yaml, NeverQuotesAValueInAProblem) {
  for (const char* text :
       {"password: *hunter2\n", "password: &hunter2\n  x: *hunter3\n", "password: !hunter2 x\n",
        "password: @hunter2\n", "password: \"hunter2\n", "a: hunter2: x\n", "%hunter2\n---\na: b\n",
        "password: \"\\xhunter2\"\n", "password: |hunter2\n x\n", "password: >9hunter2\n",
        "%YAML hunter2\n---\n"}) {
    const Tree tree = parse_yaml(text);
    for (const YamlProblem& problem : tree.problems) {
      EXPECT_EQ((problem.message + problem.hint).find("hunter"), std::string::npos) << text;
    }
  }
}

TEST(Paths, QuoteKeysThatAreNotWords) {
  EXPECT_EQ(join_path("", "a"), "a");
  EXPECT_EQ(join_path("a", "b_c-9"), "a.b_c-9");
  EXPECT_EQ(join_path("a", "b c\"\n"), "a[\"b c\\\"?\"]");
  EXPECT_EQ(join_path("", ""), "[\"\"]");
  EXPECT_EQ(join_path("a", std::size_t{3}), "a[3]");
}

}  // namespace
}  // namespace postern::config
