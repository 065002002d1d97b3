// Delivery into a maildir, https://cr.yp.to/proto/maildir.html: written in tmp/, then moved into
// new/, so that a reader never sees half a mail.
#pragma once

#include <string>
#include <string_view>

#include "postern/sdk/provider.h"

namespace postern::maildir {

struct Options {
  std::string path;   // of the maildir; made on first use where its parent exists
  bool fsync = true;  // the file and its folder, before a mail counts as delivered
};

// The file name of a message for these recipients: the same for the same message, so that a retry
// finds what is there. Fit for a file system, whatever the id holds.
std::string file_name(const sdk::OutboundMessage& message);

// The file: Return-Path, one Delivered-To a recipient, then the mail with LF line ends.
std::string file_content(const sdk::OutboundMessage& message);

// What a failed system call means. `what` names call and file.
sdk::Outcome outcome_of_errno(int error, std::string_view what);

// Delivers, blocking on the disk. One outcome holds for all recipients. A mail that is there
// already is not delivered again; with `is_retry`, neither is one that a reader has moved to cur/.
sdk::Outcome deliver(const Options& options, const sdk::OutboundMessage& message, bool is_retry);

// Whether mail could be delivered now; makes the maildir. Empty: yes.
std::string check(const Options& options);

}  // namespace postern::maildir
