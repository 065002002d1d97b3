// submission/submission.h: one message as a client submits it (the body of POST /v1/send), and its
// stored form, which is that same JSON: what was accepted is kept to the letter until it is sent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "mail/message.h"
#include "postern/sdk/provider.h"

namespace postern::submission {

struct Submission {
  sdk::Mailbox from;
  std::vector<sdk::Mailbox> to;
  std::vector<sdk::Mailbox> cc;
  std::vector<sdk::Mailbox> bcc;
  std::vector<sdk::Mailbox> reply_to;
  std::string subject;
  std::string html;
  std::string text;
  std::vector<sdk::Attachment> attachments;
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::string> tags;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::string stream = "transactional";
  std::string provider_id;  // empty: routing chooses

  [[nodiscard]] std::size_t recipient_count() const { return to.size() + cc.size() + bcc.size(); }
};

struct SubmissionLimits {
  std::uint64_t attachment_bytes = 25ULL << 20;  // decoded, in all
  std::uint32_t recipients = 1'000;              // to, cc and bcc together
};

// Reads and checks everything and reports every issue at once. Issue paths are the API's ("to[1]").
Result<Submission> parse(std::string_view json, const SubmissionLimits& limits);

// Reads what `parse` accepted before, perhaps in an older version: the same, without limits.
Result<Submission> reload(std::string_view stored_json);

}  // namespace postern::submission
