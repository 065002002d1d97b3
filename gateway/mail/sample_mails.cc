// sample_mails COUNT: prints COUNT mails, one JSON object a line: the draft, and what compose()
// made of it as base64. python_oracle.py reads it.
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/bytes.h"
#include "mail/sample_drafts.h"

namespace {

using postern::base64_encode;

void add(std::string& out, std::string_view key, std::string_view value) {
  if (out.back() != '{' && out.back() != '[') out += ',';
  if (!key.empty()) {
    out += '"';
    out += key;
    out += "\":";
  }
  // Every value is base64: no question of escapes between the two sides.
  out += '"';
  out += base64_encode(value);
  out += '"';
}

void add_list(std::string& out, std::string_view key,
              const std::vector<postern::sdk::Mailbox>& list) {
  out += ",\"";
  out += key;
  out += "\":[";
  for (const auto& mailbox : list) {
    if (out.back() != '[') out += ',';
    out += '{';
    add(out, "name", mailbox.name);
    add(out, "address", mailbox.address);
    out += '}';
  }
  out += ']';
}

}  // namespace

int main(int argc, char** argv) {
  unsigned count = 0;
  if (argc != 2 ||
      std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), count).ec != std::errc{}) {
    std::fputs("usage: sample_mails COUNT\n", stderr);
    return 2;
  }
  for (unsigned seed = 0; seed < count; ++seed) {
    const auto draft = postern::mail::sample_draft(seed);
    const auto composed = postern::mail::compose(draft);
    std::string out = "{\"seed\":" + std::to_string(seed) +
                      ",\"date\":" + std::to_string(draft.date) +
                      ",\"smtputf8\":" + (composed.needs_smtputf8 ? "true" : "false");
    add_list(out, "from", {draft.from});
    add_list(out, "to", draft.to);
    add_list(out, "cc", draft.cc);
    add_list(out, "reply_to", draft.reply_to);
    add(out, "subject", draft.subject);
    add(out, "text", postern::mail::with_crlf(draft.text));
    add(out, "html", postern::mail::with_crlf(draft.html));
    add(out, "message_id", draft.message_id);
    out += ",\"headers\":[";
    for (const auto& [name, value] : draft.headers) {
      out += out.back() == '[' ? "[" : ",[";
      add(out, "", name);
      add(out, "", value);
      out += ']';
    }
    out += "],\"attachments\":[";
    for (const auto& attachment : draft.attachments) {
      out += out.back() == '[' ? "{" : ",{";
      add(out, "filename", attachment.filename);
      add(out, "content_type", attachment.content_type);
      add(out, "content_id", attachment.content_id);
      add(out, "content", attachment.content);
      out += ",\"inline\":";
      out += attachment.is_inline ? "true}" : "false}";
    }
    out += ']';
    add(out, "mime", composed.mime);
    out += "}\n";
    std::fwrite(out.data(), 1, out.size(), stdout);
  }
  return 0;
}
