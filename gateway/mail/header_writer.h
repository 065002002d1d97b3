// mail/header_writer.h: writes header fields, folded (RFC 5322 2.2.3), with encoded words (RFC
// 2047) and encoded parameters (RFC 2231). No control character ever gets out of it raw, whatever
// it is given, so that no value can end a header early.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "postern/sdk/provider.h"

namespace postern::mail {

// One field at a time: begin(), then what it consists of, then end(). Not thread-safe; make one
// for each mail.
class HeaderWriter {
 public:
  explicit HeaderWriter(std::string& out) : out_(out) {}

  void begin(std::string_view name);
  void end();

  // Free text (RFC 5322 2.2.1). ASCII words of at most `max_raw_word` octets are written as they
  // are; runs of others become encoded words. With `verbatim` an ASCII word that looks like an
  // encoded word is left alone, and white space around the whole is dropped.
  void unstructured(std::string_view value, std::size_t max_raw_word, bool verbatim);

  // A list of mailboxes, one comma after each but the last.
  void mailboxes(std::span<const sdk::Mailbox> list);

  // A token that is never split; a line is folded before it where that helps.
  void token(std::string_view text);

  // A token on the same line, however long. Some mailers lose a folded Message-ID.
  void unfolded(std::string_view text);

  // "; name=value", quoted, percent-encoded or in continuations as the value needs it.
  void parameter(std::string_view name, std::string_view value);

 private:
  void fold();
  // Folds unless `size` more octets, behind a space, fit on the line.
  void space_before(std::size_t size);
  void append(std::string_view text);
  void encoded_words(std::string_view text);
  void phrase(std::string_view name, std::size_t after);

  std::string& out_;
  std::size_t column_ = 0;
};

}  // namespace postern::mail
