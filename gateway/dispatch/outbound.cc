#include "dispatch/outbound.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "dispatch/outcome_policy.h"
#include "mail/address.h"
#include "mail/message.h"

namespace postern::dispatch {
namespace {

void add_all(const std::vector<sdk::Mailbox>& mailboxes, sdk::RecipientRole role, UnixMillis now,
             std::unordered_set<std::string>& seen, std::vector<sdk::RecipientRecord>& into) {
  for (const auto& mailbox : mailboxes) {
    if (!seen.insert(mail::comparable(mailbox.address)).second) continue;
    sdk::RecipientRecord record;
    record.index = static_cast<std::uint32_t>(into.size());
    record.role = role;
    record.address = mailbox.address;
    record.updated_at = now;
    into.push_back(std::move(record));
  }
}

}  // namespace

routing::Traits traits_of(const submission::Submission& submission, bool test,
                          std::size_t recipients, std::size_t body_bytes) {
  routing::Traits traits;
  traits.test = test;
  traits.provider_id = submission.provider_id;
  traits.recipients = static_cast<std::uint32_t>(recipients);
  traits.tags = static_cast<std::uint32_t>(submission.tags.size());
  traits.has_metadata = !submission.metadata.empty();
  traits.has_custom_headers = !submission.headers.empty();
  for (const auto& attachment : submission.attachments) {
    traits.has_inline_attachments = traits.has_inline_attachments || attachment.is_inline;
    traits.has_nameless_attachments =
        traits.has_nameless_attachments || attachment.filename.empty();
  }
  const auto utf8 = [](const std::vector<sdk::Mailbox>& list) {
    return std::any_of(list.begin(), list.end(),
                       [](const auto& m) { return mail::needs_smtputf8(m.address); });
  };
  traits.needs_smtputf8 = mail::needs_smtputf8(submission.from.address) || utf8(submission.to) ||
                          utf8(submission.cc) || utf8(submission.bcc) || utf8(submission.reply_to);
  // The JSON holds attachments in base64, as the mail will.
  traits.approximate_bytes = body_bytes;
  return traits;
}

std::vector<sdk::RecipientRecord> recipients_of(const submission::Submission& submission,
                                                UnixMillis now) {
  std::vector<sdk::RecipientRecord> out;
  out.reserve(submission.recipient_count());
  std::unordered_set<std::string> seen;
  add_all(submission.to, sdk::RecipientRole::to, now, seen, out);
  add_all(submission.cc, sdk::RecipientRole::cc, now, seen, out);
  add_all(submission.bcc, sdk::RecipientRole::bcc, now, seen, out);
  return out;
}

std::vector<std::size_t> unfinished(const std::vector<sdk::RecipientRecord>& recipients) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < recipients.size(); ++i) {
    if (!is_final(recipients[i].status)) out.push_back(i);
  }
  return out;
}

sdk::OutboundMessage make_outbound(const sdk::MessageRecord& message,
                                   submission::Submission&& submission,
                                   const std::vector<sdk::RecipientRecord>& recipients,
                                   const std::vector<std::size_t>& envelope, bool wants_mime) {
  std::unordered_set<std::string> suppressed;
  for (const auto& recipient : recipients) {
    if (recipient.status == sdk::MessageStatus::suppressed) {
      suppressed.insert(mail::comparable(recipient.address));
    }
  }
  if (!suppressed.empty()) {
    for (auto* list : {&submission.to, &submission.cc, &submission.bcc}) {
      std::erase_if(*list, [&](const sdk::Mailbox& mailbox) {
        return suppressed.contains(mail::comparable(mailbox.address));
      });
    }
  }

  sdk::OutboundMessage out;
  out.id = message.id;
  out.organization = message.organization;
  out.mode = message.test ? sdk::Mode::test : sdk::Mode::live;
  out.stream = message.stream;
  out.envelope_sender = submission.from.address;
  out.recipients.reserve(envelope.size());
  for (const std::size_t i : envelope) {
    out.recipients.push_back(recipients[i].address);
    out.needs_smtputf8 = out.needs_smtputf8 || mail::needs_smtputf8(recipients[i].address);
  }
  out.needs_smtputf8 = out.needs_smtputf8 || mail::needs_smtputf8(submission.from.address);
  out.message_id_header = message.message_id_header;

  if (wants_mime) {
    mail::Draft draft;
    draft.from = std::move(submission.from);
    draft.to = std::move(submission.to);
    draft.cc = std::move(submission.cc);
    draft.reply_to = std::move(submission.reply_to);
    draft.subject = std::move(submission.subject);
    draft.html = std::move(submission.html);
    draft.text = std::move(submission.text);
    draft.attachments = std::move(submission.attachments);
    draft.headers = std::move(submission.headers);
    draft.message_id = message.message_id_header;
    draft.date = message.created_at;
    mail::Composed composed = mail::compose(draft);
    out.needs_smtputf8 = out.needs_smtputf8 || composed.needs_smtputf8;
    out.mime = std::make_shared<const std::string>(std::move(composed.mime));
    // The parts go back to where adapters that look at them find them.
    out.from = std::move(draft.from);
    out.to = std::move(draft.to);
    out.cc = std::move(draft.cc);
    out.reply_to = std::move(draft.reply_to);
    out.subject = std::move(draft.subject);
    out.headers = std::move(draft.headers);
  } else {
    out.from = std::move(submission.from);
    out.to = std::move(submission.to);
    out.cc = std::move(submission.cc);
    out.reply_to = std::move(submission.reply_to);
    out.subject = std::move(submission.subject);
    out.html = std::move(submission.html);
    out.text = std::move(submission.text);
    out.attachments = std::move(submission.attachments);
    out.headers = std::move(submission.headers);
  }
  out.bcc = std::move(submission.bcc);
  out.tags = std::move(submission.tags);
  out.metadata = std::move(submission.metadata);
  return out;
}

}  // namespace postern::dispatch
