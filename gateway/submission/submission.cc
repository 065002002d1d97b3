#include "submission/submission.h"

#include <algorithm>
#include <array>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/object.hpp>
#include <boost/json/array.hpp>

#include "base/bytes.h"
#include "base/ids.h"
#include "mail/address.h"
#include "submission/json.h"

namespace postern::submission {
namespace {

namespace bj = boost::json;

constexpr std::size_t kSubjectCharacters = 998;
constexpr std::size_t kTags = 10;
constexpr std::size_t kTagCharacters = 100;
constexpr std::size_t kMetadataBytes = 16 * 1024;
constexpr std::size_t kHeaders = 100;

// Fields that the contract knows and this version does not serve yet: refused, never dropped.
constexpr std::array<std::string_view, 4> kUnserved{"templateId", "variables", "unsubscribeGroupId",
                                                    "sendAt"};

std::string_view view(const bj::string& text) { return {text.data(), text.size()}; }

std::string_view kind_name(const bj::value& value) {
  switch (value.kind()) {
    case bj::kind::null: return "null";
    case bj::kind::bool_: return "a boolean";
    case bj::kind::int64:
    case bj::kind::uint64:
    case bj::kind::double_: return "a number";
    case bj::kind::string: return "a string";
    case bj::kind::array: return "an array";
    case bj::kind::object: return "an object";
  }
  return "something else";
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

// Walks the body once, filling the submission and collecting issues.
class Reader {
 public:
  explicit Reader(const SubmissionLimits& limits) : limits_(limits) {}

  void read(const bj::object& body) {
    for (const auto& [key, value] : body) {
      const std::string_view name{key.data(), key.size()};
      const auto* field = std::find_if(kFields.begin(), kFields.end(),
                                       [&](const FieldReader& f) { return f.name == name; });
      if (field != kFields.end()) {
        if (!value.is_null()) (this->*field->read)(value, std::string{name});
      } else if (std::find(kUnserved.begin(), kUnserved.end(), name) != kUnserved.end()) {
        unserved_.push_back({std::string{name}, "capability_unsupported",
                             "'" + std::string{name} + "' is not supported by this gateway yet"});
      } else {
        unknown(name);
      }
    }
    check_whole(body);
  }

  Result<Submission> finish() && {
    if (!issues_.empty()) {
      return Error{ErrorKind::invalid, "Request validation failed", std::move(issues_), {}};
    }
    if (!unserved_.empty()) {
      return Error{ErrorKind::impossible, "Request can't be fulfilled", std::move(unserved_), {}};
    }
    return std::move(out_);
  }

 private:
  using Read = void (Reader::*)(const bj::value&, const std::string&);
  struct FieldReader {
    std::string_view name;
    Read read;
  };
  static const std::array<FieldReader, 14> kFields;

  void issue(std::string path, std::string code, std::string message) {
    issues_.push_back({std::move(path), std::move(code), std::move(message)});
  }
  void wrong_type(const std::string& path, std::string_view wanted, const bj::value& value) {
    issue(path, "invalid_type",
          "Must be " + std::string{wanted} + ", not " + std::string{kind_name(value)});
  }
  void unknown(std::string_view name) {
    std::vector<std::string> known;
    for (const auto& field : kFields) known.emplace_back(field.name);
    for (const auto field : kUnserved) known.emplace_back(field);
    const std::string meant = nearest(name, known);
    // What a client sent is shown back only as far as it is harmless and short.
    std::string shown{name.substr(0, 64)};
    std::replace_if(
        shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, '?');
    issue(shown, "unknown_field",
          "Unknown field" + (meant.empty() ? std::string{} : "; did you mean '" + meant + "'?"));
  }

  const bj::string* text_of(const bj::value& value, const std::string& path) {
    if (const bj::string* text = value.if_string()) return text;
    wrong_type(path, "a string", value);
    return nullptr;
  }

  void read_mailbox(const bj::value& value, const std::string& path, const char* code,
                    std::vector<sdk::Mailbox>& into) {
    const bj::string* text = text_of(value, path);
    if (!text) return;
    auto mailbox = mail::parse_mailbox(view(*text));
    if (!mailbox) {
      const Error& error = mailbox.error();
      issue(path, code, error.issues.empty() ? error.message : error.issues.front().message);
      return;
    }
    into.push_back(*std::move(mailbox));
  }
  // "string or string[]"
  void read_mailboxes(const bj::value& value, const std::string& path, const char* code,
                      std::vector<sdk::Mailbox>& into) {
    if (const bj::array* list = value.if_array()) {
      if (list->size() > limits_.recipients) return;  // check_whole reports it once
      into.reserve(list->size());
      for (std::size_t i = 0; i < list->size(); ++i) {
        read_mailbox((*list)[i], path + "[" + std::to_string(i) + "]", code, into);
      }
    } else if (value.is_string()) {
      read_mailbox(value, path, code, into);
    } else {
      wrong_type(path, "a string or an array of strings", value);
    }
  }

  void read_from(const bj::value& value, const std::string& path) {
    std::vector<sdk::Mailbox> from;
    read_mailbox(value, path, "invalid_sender", from);
    if (!from.empty()) out_.from = std::move(from.front());
  }
  void read_to(const bj::value& value, const std::string& path) {
    read_mailboxes(value, path, "invalid_recipient", out_.to);
  }
  void read_cc(const bj::value& value, const std::string& path) {
    read_mailboxes(value, path, "invalid_recipient", out_.cc);
  }
  void read_bcc(const bj::value& value, const std::string& path) {
    read_mailboxes(value, path, "invalid_recipient", out_.bcc);
  }
  void read_reply_to(const bj::value& value, const std::string& path) {
    read_mailboxes(value, path, "invalid_reply_to", out_.reply_to);
  }
  void read_subject(const bj::value& value, const std::string& path) {
    const bj::string* text = text_of(value, path);
    if (!text) return;
    if (has_control(view(*text))) {
      return issue(path, "invalid_subject",
                   "Must not contain line breaks or other control characters");
    }
    if (utf8_length(view(*text)) > kSubjectCharacters) {
      return issue(path, "too_long", "Must be at most 998 characters");
    }
    out_.subject.assign(text->data(), text->size());
  }
  void read_html(const bj::value& value, const std::string& path) {
    if (const bj::string* text = text_of(value, path)) out_.html.assign(text->data(), text->size());
  }
  void read_text(const bj::value& value, const std::string& path) {
    if (const bj::string* text = text_of(value, path)) out_.text.assign(text->data(), text->size());
  }

  void read_attachments(const bj::value& value, const std::string& path) {
    const bj::array* list = value.if_array();
    if (!list) return wrong_type(path, "an array of objects", value);
    for (std::size_t i = 0; i < list->size(); ++i) {
      read_attachment((*list)[i], path + "[" + std::to_string(i) + "]");
    }
    if (attachment_bytes_ > limits_.attachment_bytes) {
      issue(path, "attachments_too_large",
            "Attachments have " + std::to_string(attachment_bytes_) + " bytes in all, decoded; at most " +
                std::to_string(limits_.attachment_bytes) + " are accepted");
    }
  }
  void read_attachment(const bj::value& value, const std::string& path) {
    const bj::object* object = value.if_object();
    if (!object) return wrong_type(path, "an object", value);
    sdk::Attachment attachment;
    bool has_content = false;
    bool says_disposition = false;
    for (const auto& [key, field] : *object) {
      const std::string_view name{key.data(), key.size()};
      const std::string where = path + "." + std::string{name.substr(0, 64)};
      static constexpr std::array<std::string_view, 5> kKnown{"filename", "content", "contentType",
                                                              "contentId", "disposition"};
      if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) {
        issue(where, "unknown_field", "Unknown field");
        continue;
      }
      if (field.is_null()) continue;
      const bj::string* text = text_of(field, where);
      if (!text) {
        has_content = has_content || name == "content";
        continue;
      }
      const std::string_view content = view(*text);
      if (name == "content") {
        has_content = true;
        auto decoded = base64_decode(content, /*allow_space=*/true);
        if (!decoded) {
          issue(where, "invalid_base64", "Must be base64 (RFC 4648)");
          continue;
        }
        attachment_bytes_ += decoded->size();
        attachment.content = *std::move(decoded);
      } else if (has_control(content)) {
        issue(where, "invalid_attachment", "Must not contain control characters");
      } else if (name == "filename") {
        if (utf8_length(content) > 255) issue(where, "too_long", "Must be at most 255 characters");
        attachment.filename = content;
      } else if (name == "contentType") {
        if (!mail::is_content_type(content)) {
          issue(where, "invalid_content_type", "Must be a MIME type such as application/pdf");
        }
        attachment.content_type = content;
      } else if (name == "contentId") {
        std::string_view id = content;
        if (id.size() > 2 && id.front() == '<' && id.back() == '>') id = id.substr(1, id.size() - 2);
        if (id.empty() || id.size() > 250 || !is_ascii(id) ||
            id.find_first_of(" <>()\"\\") != std::string_view::npos) {
          issue(where, "invalid_content_id", "Must be 1 to 250 ASCII characters without spaces or <>");
        }
        attachment.content_id = id;
      } else {
        says_disposition = true;
        if (content != "attachment" && content != "inline") {
          issue(where, "invalid_disposition", "Must be 'attachment' or 'inline'");
        }
        attachment.is_inline = content == "inline";
      }
    }
    if (!has_content) issue(path + ".content", "required", "Is required");
    if (attachment.content_type.empty()) attachment.content_type = "application/octet-stream";
    // A part that the HTML refers to by its content id belongs to the HTML.
    if (!says_disposition) attachment.is_inline = !attachment.content_id.empty();
    out_.attachments.push_back(std::move(attachment));
  }

  void read_headers(const bj::value& value, const std::string& path) {
    const bj::object* object = value.if_object();
    if (!object) return wrong_type(path, "an object of strings", value);
    if (object->size() > kHeaders) {
      return issue(path, "too_many", "At most " + std::to_string(kHeaders) + " headers are accepted");
    }
    for (const auto& [key, field] : *object) {
      const std::string name{key.data(), key.size()};
      const std::string where = path + "." + name.substr(0, 64);
      const bj::string* text = text_of(field, where);
      if (!text) continue;
      const auto checked = mail::check_custom_header(name, view(*text));
      if (!checked) {
        for (const Issue& found : checked.error().issues) issue(where, found.code, found.message);
        continue;
      }
      out_.headers.emplace_back(name, std::string{view(*text)});
    }
  }

  void read_tags(const bj::value& value, const std::string& path) {
    const bj::array* list = value.if_array();
    if (!list) return wrong_type(path, "an array of strings", value);
    if (list->size() > kTags) return issue(path, "too_many", "At most 10 tags are accepted");
    for (std::size_t i = 0; i < list->size(); ++i) {
      const std::string where = path + "[" + std::to_string(i) + "]";
      const bj::string* text = text_of((*list)[i], where);
      if (!text) continue;
      if (text->empty() || utf8_length(view(*text)) > kTagCharacters || has_control(view(*text))) {
        issue(where, "invalid_tag", "Must be 1 to 100 characters without control characters");
        continue;
      }
      std::string tag{view(*text)};
      if (std::find(out_.tags.begin(), out_.tags.end(), tag) == out_.tags.end()) {
        out_.tags.push_back(std::move(tag));
      }
    }
  }

  void read_metadata(const bj::value& value, const std::string& path) {
    const bj::object* object = value.if_object();
    if (!object) return wrong_type(path, "an object of strings", value);
    std::size_t bytes = 0;
    for (const auto& [key, field] : *object) {
      const std::string name{key.data(), key.size()};
      const bj::string* text = text_of(field, path + "." + name.substr(0, 64));
      if (!text) continue;
      bytes += name.size() + text->size();
      out_.metadata.emplace_back(name, std::string{view(*text)});
    }
    if (bytes > kMetadataBytes) {
      issue(path, "too_large", "Has " + std::to_string(bytes) + " bytes; at most 16384 are accepted");
    }
  }

  void read_stream(const bj::value& value, const std::string& path) {
    const bj::string* text = text_of(value, path);
    if (!text) return;
    if (view(*text) != "transactional" && view(*text) != "bulk") {
      return issue(path, "invalid_stream", "Must be 'transactional' or 'bulk'");
    }
    out_.stream = view(*text);
  }
  void read_provider_id(const bj::value& value, const std::string& path) {
    const bj::string* text = text_of(value, path);
    if (!text) return;
    if (!is_uuid(view(*text))) return issue(path, "invalid_uuid", "Must be a UUID");
    out_.provider_id = ascii_lower(view(*text));
  }

  void check_whole(const bj::object& body) {
    const auto given = [&](std::string_view name) {
      const auto* found = body.if_contains({name.data(), name.size()});
      return found != nullptr && !found->is_null();
    };
    const auto count = [&](std::string_view name) -> std::size_t {
      const auto* found = body.if_contains({name.data(), name.size()});
      if (found == nullptr || found->is_null()) return 0;
      return found->is_array() ? found->get_array().size() : 1;
    };
    if (!given("from")) issue("from", "required", "Is required");
    if (count("to") == 0) issue("to", "required", "At least one recipient is required");
    const std::size_t recipients = count("to") + count("cc") + count("bcc");
    if (recipients > limits_.recipients) {
      issue("to", "too_many_recipients",
            "to, cc and bcc have " + std::to_string(recipients) + " recipients; at most " +
                std::to_string(limits_.recipients) + " are accepted");
    }
    const bool templated = given("templateId");
    if (!given("subject") && !templated) issue("subject", "required", "Is required");
    if (!given("html") && !given("text") && !templated) {
      issue("text", "required", "At least one of html, text and templateId is required");
    }
    if (templated && (given("html") || given("text"))) {
      issue("templateId", "conflicting_fields", "Excludes html and text");
    }
    if (given("variables") && !templated) {
      issue("variables", "conflicting_fields", "Is only accepted with templateId");
    }
  }

  const SubmissionLimits& limits_;
  Submission out_;
  std::uint64_t attachment_bytes_ = 0;
  std::vector<Issue> issues_;
  std::vector<Issue> unserved_;
};

const std::array<Reader::FieldReader, 14> Reader::kFields{{
    {"to", &Reader::read_to},
    {"from", &Reader::read_from},
    {"subject", &Reader::read_subject},
    {"html", &Reader::read_html},
    {"text", &Reader::read_text},
    {"cc", &Reader::read_cc},
    {"bcc", &Reader::read_bcc},
    {"replyTo", &Reader::read_reply_to},
    {"attachments", &Reader::read_attachments},
    {"headers", &Reader::read_headers},
    {"tags", &Reader::read_tags},
    {"metadata", &Reader::read_metadata},
    {"stream", &Reader::read_stream},
    {"providerId", &Reader::read_provider_id},
}};

}  // namespace

Result<Submission> parse(std::string_view text, const SubmissionLimits& limits) {
  boost::json::monotonic_resource memory;
  const auto body = json::parse(text, &memory);
  if (!body) return body.error();
  const bj::object* object = body->if_object();
  if (!object) {
    return Error{ErrorKind::invalid,
                 "Request validation failed",
                 {{"", "invalid_type", "The body must be a JSON object"}},
                 {}};
  }
  Reader reader{limits};
  reader.read(*object);
  return std::move(reader).finish();
}

Result<Submission> reload(std::string_view stored_json) {
  static constexpr SubmissionLimits kNone{UINT64_MAX, UINT32_MAX};
  return parse(stored_json, kNone);
}

}  // namespace postern::submission
