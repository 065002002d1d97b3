// dispatch/outbound.h: from a delivery to what an adapter is given, and from a submission to the
// rows that are stored. Pure.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "postern/sdk/provider.h"
#include "postern/sdk/storage.h"
#include "routing/routing.h"
#include "submission/submission.h"

namespace postern::dispatch {

// One record for each address, in order of to, cc, bcc; an address that stands twice gets the mail
// once.
std::vector<sdk::RecipientRecord> recipients_of(const submission::Submission& submission,
                                                sdk::UnixMillis now);

// What routing has to know of it. `body_bytes` is the size of the submission as JSON.
routing::Traits traits_of(const submission::Submission& submission, bool test,
                          std::size_t recipients, std::size_t body_bytes);

// The indexes of the recipients that still wait for this mail.
std::vector<std::size_t> unfinished(const std::vector<sdk::RecipientRecord>& recipients);

// Composes the mail for these recipients. Suppressed recipients are left out of the headers too;
// `submission` is used up.
sdk::OutboundMessage make_outbound(const sdk::MessageRecord& message,
                                   submission::Submission&& submission,
                                   const std::vector<sdk::RecipientRecord>& recipients,
                                   const std::vector<std::size_t>& envelope, bool wants_mime);

}  // namespace postern::dispatch
