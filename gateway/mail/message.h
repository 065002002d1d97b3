// mail/message.h: composes RFC 5322 mail with MIME. Pure functions; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "postern/sdk/provider.h"

namespace postern::mail {

// What goes into one mail. Strings are UTF-8 and were validated; none holds CR or LF outside html
// and text. Bcc recipients are not part of it.
struct Draft {
  sdk::Mailbox from;
  std::vector<sdk::Mailbox> to;
  std::vector<sdk::Mailbox> cc;
  std::vector<sdk::Mailbox> reply_to;
  std::string subject;
  std::string html;
  std::string text;
  std::vector<sdk::Attachment> attachments;
  std::vector<std::pair<std::string, std::string>> headers;  // custom, in order
  std::string message_id;                                    // with angle brackets
  UnixMillis date = 0;
};

struct Composed {
  // CRLF line ends, also at the end. Lines of at most 998 octets; header lines of at most 78 unless
  // one word is longer. Octets above 127 stand in headers alone, and only with needs_smtputf8.
  std::string mime;
  bool needs_smtputf8 = false;  // a header holds a non-ASCII address
};

// text and html make multipart/alternative (empty means absent); inline attachments make
// multipart/related around the html, and without html go with the others; others multipart/mixed
// around all. Text parts are 7bit when they are ASCII in lines of at most 998 octets without
// controls, else quoted-printable or base64, whichever is shorter; CR, LF and CRLF become CRLF.
// Attachments are base64; message/* types go as 7bit, or as application/octet-stream where they
// would need an encoding (RFC 2046 5.2.1), and so does what is_content_type refuses. Names and
// subject by RFC 2047, parameters by RFC 2231, both with UTF-8. Custom headers with ASCII values
// are written verbatim, folded at spaces; other words become encoded words. Without to and cc the
// mail says "To: undisclosed-recipients:;". No control character reaches a header, even from a
// draft that was not validated. Deterministic: boundaries derive from the message id.
Composed compose(const Draft& draft);

// "<uuid@domain>" for a new message, the domain as A-labels (RFC 5322 3.6.4).
std::string make_message_id(std::string_view message_uuid, std::string_view domain);

// Whether a client may set this header: not a structural one (From, To, Cc, Bcc, Sender, Subject,
// Date, Message-ID, MIME-Version, Content-*, DKIM-Signature, Received, Return-Path, Reply-To,
// Resent-*, ARC-*, List-Unsubscribe*, X-Postern-*, and what else a mailer sets by itself), its name
// is a field-name of RFC 5322 2.2 of at most 76 characters, and its value UTF-8 without controls
// other than tabs. The error has one issue, with an empty path and the code invalid_header or
// reserved_header.
Result<Done> check_custom_header(std::string_view name, std::string_view value);

// RFC 2045 5.1: "type/subtype" with optional parameters, no CR or LF, not multipart/*.
// At most 512 octets.
bool is_content_type(std::string_view text);

// Whether it can stand in Content-ID's angle brackets and in a "cid:" link (RFC 2392): 1 to 200
// printable ASCII characters, no space, no angle bracket. compose leaves out any other.
bool is_content_id(std::string_view text);

}  // namespace postern::mail
