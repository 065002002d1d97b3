#include "mail/message.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "mail/address.h"
#include "mail/content_type.h"
#include "mail/encoding.h"
#include "mail/header_writer.h"
#include "mail/idna.h"
#include "mail/syntax.h"

namespace postern::mail {
namespace {

using sdk::Attachment;
using sdk::Mailbox;

constexpr std::size_t kMaxRawSubjectWord = 76;
constexpr std::size_t kMaxRawHeaderWord = kMaxLine - 1;

// Boundaries hold "=_", which neither quoted-printable nor base64 can hold (RFC 2045 6.7); 7bit
// parts are searched for them.
class Boundaries {
 public:
  explicit Boundaries(std::string_view message_id) : message_id_(message_id) { derive(0); }

  // Derives again until `text` has none of them.
  void avoid(std::string_view text) {
    for (std::uint64_t salt = 1; text.find(stem_) != std::string_view::npos; ++salt) derive(salt);
  }
  [[nodiscard]] std::string make(char level) const { return stem_ + level; }

 private:
  // FNV-1a with a last mix. It must differ from mail to mail, not be hard to guess.
  void derive(std::uint64_t salt) {
    stem_ = "=_";
    for (const std::uint64_t seed : {0xcbf29ce484222325U, 0x9e3779b97f4a7c15U}) {
      std::uint64_t hash = seed ^ (salt * 0xd6e8feb86659fd93U);
      for (const char c : message_id_) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
      }
      hash ^= hash >> 32;
      for (int i = 0; i < 12; ++i, hash >>= 5) {
        stem_ += "0123456789abcdefghjkmnpqrstvwxyz"[hash & 31];
      }
    }
    stem_ += '_';
  }

  std::string_view message_id_;
  std::string stem_;
};

class Composer {
 public:
  Composer(const Draft& draft, std::string& out)
      : draft_(draft), out_(out), header_(out), boundaries_(draft.message_id) {
    for (const Attachment& attachment : draft.attachments) {
      const bool related = attachment.is_inline && !draft.html.empty();
      (related ? related_ : mixed_).push_back(&attachment);
    }
  }

  void run() {
    plan();
    fields();
    body();
  }

 private:
  struct Text {
    std::string_view content;
    std::string_view subtype;
    TextShape shape;
  };

  // Looks at all content before the first boundary is written.
  void plan() {
    text_ = Text{draft_.text, "plain", shape_of(draft_.text)};
    html_ = Text{draft_.html, "html", shape_of(draft_.html)};
    for (const Text* text : {&text_, &html_}) {
      if (fits_seven_bit(text->shape)) boundaries_.avoid(text->content);
    }
    for (const Attachment& attachment : draft_.attachments) {
      if (carried_as_message(attachment)) boundaries_.avoid(attachment.content);
    }
  }

  static bool is_message_type(std::string_view content_type) {
    return ascii_iequals(content_type.substr(0, 8), "message/");
  }

  // RFC 2046 5.2.1: a message/* part may not be encoded, so it goes as it is or not at all.
  static bool carried_as_message(const Attachment& attachment) {
    return is_message_type(attachment.content_type) && is_content_type(attachment.content_type) &&
           fits_seven_bit(shape_of(attachment.content));
  }

  void list(std::string_view name, std::span<const Mailbox> mailboxes) {
    if (mailboxes.empty()) return;
    header_.begin(name);
    header_.mailboxes(mailboxes);
    header_.end();
  }

  void fields() {
    list("From", {&draft_.from, 1});
    list("To", draft_.to);
    list("Cc", draft_.cc);
    if (draft_.to.empty() && draft_.cc.empty()) out_ += "To: undisclosed-recipients:;\r\n";
    list("Reply-To", draft_.reply_to);
    header_.begin("Subject");
    header_.unstructured(draft_.subject, kMaxRawSubjectWord, false);
    header_.end();
    header_.begin("Date");
    header_.unfolded(" ");
    header_.unfolded(format_mail_date(draft_.date));
    header_.end();
    header_.begin("Message-ID");
    header_.unfolded(" ");
    header_.unfolded(draft_.message_id);
    header_.end();
    for (const auto& [name, value] : draft_.headers) {
      header_.begin(name);
      header_.unstructured(value, kMaxRawHeaderWord - 1, true);
      header_.end();
    }
    out_ += "MIME-Version: 1.0\r\n";
  }

  // A multipart around `parts`, which writes them between calls of delimiter().
  template <typename Parts>
  void multipart(std::string_view subtype, char level, Parts parts) {
    const std::string boundary = boundaries_.make(level);
    out_ += "Content-Type: multipart/";
    out_ += subtype;
    out_ += ";\r\n boundary=\"";
    out_ += boundary;
    out_ += "\"\r\n";
    // The CRLF before a delimiter belongs to it (RFC 2046 5.1.1).
    parts([&] {
      out_ += "\r\n--";
      out_ += boundary;
      out_ += "\r\n";
    });
    out_ += "\r\n--";
    out_ += boundary;
    out_ += "--\r\n";
  }

  void body() {
    const bool has_body = !draft_.text.empty() || !draft_.html.empty();
    if (mixed_.empty()) {
      main_part();
      if (!out_.ends_with("\r\n")) out_ += "\r\n";
      return;
    }
    multipart("mixed", 'm', [&](auto delimiter) {
      if (has_body) {
        delimiter();
        main_part();
      }
      for (const Attachment* attachment : mixed_) {
        delimiter();
        part(*attachment);
      }
    });
  }

  void main_part() {
    if (draft_.html.empty()) return text_part(text_);
    if (draft_.text.empty()) return html_part();
    multipart("alternative", 'a', [&](auto delimiter) {
      delimiter();
      text_part(text_);
      delimiter();
      html_part();
    });
  }

  void html_part() {
    if (related_.empty()) return text_part(html_);
    multipart("related; type=\"text/html\"", 'r', [&](auto delimiter) {
      delimiter();
      text_part(html_);
      for (const Attachment* attachment : related_) {
        delimiter();
        part(*attachment);
      }
    });
  }

  void encoding(TransferEncoding encoding) {
    out_ += "Content-Transfer-Encoding: ";
    out_ += name_of(encoding);
    out_ += "\r\n";
  }

  void text_part(const Text& text) {
    out_ += "Content-Type: text/";
    out_ += text.subtype;
    out_ += "; charset=utf-8\r\n";
    const TextShape& shape = text.shape;
    if (fits_seven_bit(shape)) {
      encoding(TransferEncoding::seven_bit);
      out_ += "\r\n";
      if (shape.crlf_only) {
        out_ += text.content;
      } else {
        append_with_crlf(out_, text.content);
      }
      return;
    }
    std::string normal;
    std::string_view content = text.content;
    if (!shape.crlf_only) {
      normal.reserve(content.size() + shape.line_ends);
      append_with_crlf(normal, content);
      content = normal;
    }
    const std::size_t limit = base64_lines_size(content.size());
    // What is mostly escapes is longer as quoted-printable in any case.
    if (content.size() + 2 * shape.escapes <= limit) {
      const std::size_t start = out_.size();
      encoding(TransferEncoding::quoted_printable);
      out_ += "\r\n";
      if (append_quoted_printable(out_, content, limit)) return;
      out_.resize(start);
    }
    encoding(TransferEncoding::base64);
    out_ += "\r\n";
    append_base64_lines(out_, content);
  }

  void part(const Attachment& attachment) {
    const bool as_message = carried_as_message(attachment);
    const bool usable = is_content_type(attachment.content_type) &&
                        (as_message || !is_message_type(attachment.content_type));
    header_.begin("Content-Type");
    write_content_type(header_, usable ? attachment.content_type : "application/octet-stream");
    header_.end();
    encoding(as_message ? TransferEncoding::seven_bit : TransferEncoding::base64);
    header_.begin("Content-Disposition");
    header_.token(attachment.is_inline ? "inline" : "attachment");
    if (!attachment.filename.empty()) header_.parameter("filename", attachment.filename);
    header_.end();
    if (is_content_id(attachment.content_id)) {
      out_ += "Content-ID: <";
      out_ += attachment.content_id;
      out_ += ">\r\n";
    }
    out_ += "\r\n";
    if (as_message) {
      append_with_crlf(out_, attachment.content);
    } else {
      append_base64_lines(out_, attachment.content);
    }
  }

  const Draft& draft_;
  std::string& out_;
  HeaderWriter header_;
  Boundaries boundaries_;
  Text text_;
  Text html_;
  std::vector<const Attachment*> related_;
  std::vector<const Attachment*> mixed_;
};

// What the mail needs unless much of it is encoded; then the string grows once.
std::size_t expected_size(const Draft& draft) {
  constexpr std::size_t kPart = 256;
  std::size_t size = 1024 + draft.subject.size() * 2;
  size += (draft.text.size() + draft.html.size()) * 11 / 8;
  for (const auto* list : {&draft.to, &draft.cc, &draft.reply_to}) {
    for (const Mailbox& mailbox : *list) {
      size += mailbox.name.size() * 2 + mailbox.address.size() + 8;
    }
  }
  for (const auto& [name, value] : draft.headers) size += name.size() + value.size() * 2 + 8;
  for (const Attachment& attachment : draft.attachments) {
    size += kPart + attachment.filename.size() * 3 + base64_lines_size(attachment.content.size());
  }
  return size;
}

bool has_unicode_address(const Draft& draft) {
  if (!is_ascii(draft.from.address)) return true;
  for (const auto* list : {&draft.to, &draft.cc, &draft.reply_to}) {
    for (const Mailbox& mailbox : *list) {
      if (!is_ascii(mailbox.address)) return true;
    }
  }
  return false;
}

}  // namespace

Composed compose(const Draft& draft) {
  Composed composed;
  composed.needs_smtputf8 = has_unicode_address(draft);
  composed.mime.reserve(expected_size(draft));
  Composer(draft, composed.mime).run();
  return composed;
}

std::string make_message_id(std::string_view message_uuid, std::string_view domain) {
  std::string id = "<";
  id += message_uuid;
  id += '@';
  const auto ascii = domain_to_ascii(domain);
  id += ascii ? std::string_view(*ascii) : domain;
  id += '>';
  return id;
}

}  // namespace postern::mail
