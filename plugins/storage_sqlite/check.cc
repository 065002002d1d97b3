// What doesn't fit together, in words.
#include "codec.h"
#include "storage.h"

namespace postern::storage_sqlite {
namespace {

constexpr std::int64_t kStuckAfter = 3'600'000;  // ms past the end of a lease that nobody took over
constexpr int kExamples = 5;

struct Question {
  const char* finding;
  const char* sql;  // the identifiers in question
};
constexpr Question kQuestions[] = {
    {"recipients without a message",
     "SELECT DISTINCT message FROM recipient r WHERE NOT EXISTS (SELECT 1 FROM message m WHERE "
     "m.id = "
     "r.message)"},
    {"tags without a message",
     "SELECT DISTINCT message FROM message_tag t WHERE NOT EXISTS (SELECT 1 FROM message m WHERE "
     "m.id = "
     "t.message)"},
    {"bodies without a message",
     "SELECT CAST(seq AS TEXT) FROM body b WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.seq = "
     "b.seq)"},
    {"messages whose body is missing",
     "SELECT id FROM message m WHERE has_body = 1 AND NOT EXISTS (SELECT 1 FROM body b WHERE b.seq "
     "= "
     "m.seq)"},
    {"deliveries of a message that is not there",
     "SELECT w.id FROM work w WHERE queue = 0 AND NOT EXISTS (SELECT 1 FROM message m WHERE m.id = "
     "w.message)"},
    {"deliveries whose message has no body",
     "SELECT m.id FROM work w JOIN message m ON m.id = w.message WHERE w.queue = 0 AND m.has_body "
     "= 0"},
    {"unfinished messages that nothing will deliver",
     "SELECT id FROM message m WHERE status IN (0, 1, 2) AND NOT EXISTS (SELECT 1 FROM work w "
     "WHERE "
     "w.queue = 0 AND w.id = m.id) AND NOT EXISTS (SELECT 1 FROM work w WHERE w.queue = 0 AND "
     "w.message = m.id AND w.message <> w.id)"},
    {"messages without a recipient",
     "SELECT id FROM message m WHERE NOT EXISTS (SELECT 1 FROM recipient r WHERE r.message = "
     "m.id)"},
};

void ask(Statement& rows, const std::string& finding, std::vector<std::string>& findings) {
  std::size_t count = 0;
  std::string examples;
  while (rows.step()) {
    if (++count <= kExamples) examples += (count == 1 ? "" : ", ") + unpack_key(rows, 0);
  }
  if (count == 0) return;
  findings.push_back(std::to_string(count) + " " + finding + ": " + examples +
                     (count > kExamples ? ", …" : ""));
}

}  // namespace

sdk::Stored<std::vector<std::string>> SqliteStorage::check() {
  return read<std::vector<std::string>>([&](Session& session) {
    std::vector<std::string> findings;
    {
      Statement rows{session, "PRAGMA quick_check(20)"};
      while (rows.step()) {
        if (rows.view(0) != "ok") findings.push_back("the file is damaged: " + rows.get_text(0));
      }
    }
    for (const auto& question : kQuestions) {
      Statement rows{session, std::string{question.sql}};
      ask(rows, question.finding, findings);
    }
    Statement rows{session, "SELECT id FROM work WHERE owner IS NOT NULL AND ready_at < ?"};
    rows.integer(host_.clock.now() - kStuckAfter);
    ask(rows, "work items whose lease ran out over an hour ago", findings);
    return findings;
  });
}

}  // namespace postern::storage_sqlite
