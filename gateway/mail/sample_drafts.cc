#include "mail/sample_drafts.h"

#include <array>
#include <random>

namespace postern::mail {
namespace {

constexpr std::array<std::string_view, 28> kWords{
    "Hello",      "invoice",     "Größe",         "naïve",
    "Привет",     "счёт",        "你好",          "請求書",
    "こんにちは", "안녕하세요",  "مرحبا",         "שלום",
    "नमस्ते",       "สวัสดี",        "👋🏽",      "👨‍👩‍👧‍👦",
    "🎉",          "€100",        "=?UTF-8?Q?x?=", "a=b",
    "\"quoted\"", "back\\slash", "semi;colon",    "comma,",
    "(paren)",    "<angle>",     "don't",         "100%",
};

class Source {
 public:
  explicit Source(std::uint64_t seed) : engine_(seed) {}

  std::size_t below(std::size_t bound) { return engine_() % bound; }
  bool one_in(std::size_t n) { return below(n) == 0; }
  std::string_view word() { return kWords[below(kWords.size())]; }

  std::string words(std::size_t most, std::string_view between = " ") {
    std::string out;
    for (std::size_t i = 0, n = 1 + below(most); i < n; ++i) {
      if (i > 0) out += between;
      out += one_in(12) ? std::string(1 + below(120), static_cast<char>('a' + below(26)))
                        : std::string(word());
    }
    return out;
  }

  std::string ascii_words(std::size_t most) {
    std::string out;
    for (std::size_t i = 0, n = 1 + below(most); i < n; ++i) {
      if (i > 0) out += ' ';
      for (std::size_t k = 0, m = 1 + below(14); k < m; ++k) {
        out += static_cast<char>('a' + below(26));
      }
    }
    return out;
  }

  std::string bytes(std::size_t most) {
    std::string out(below(most), '\0');
    for (char& c : out) c = static_cast<char>(below(256));
    return out;
  }

  std::string subject() {
    switch (below(9)) {
      case 0:
        return {};
      case 1:
        return std::string(998, 'x');
      case 2:
        return ascii_words(160).substr(0, 997) + '.';
      case 3:
        return words(3, "  ");
      case 4:
        return ' ' + words(4) + ' ';
      case 5:
        return words(80, "");
      case 6:
        return ascii_words(3) + std::string(1 + below(60), ' ') + words(3);
      case 7:
        return words(3) + '\t' + words(2);
      default:
        return words(12);
    }
  }

  std::string body() {
    std::string out;
    static constexpr std::array<std::string_view, 4> kEnds{"\n", "\r\n", "\r", "\n\n"};
    const bool ascii = one_in(3);
    const bool mixed = one_in(4);
    const std::string_view usual = kEnds[below(3)];
    for (std::size_t i = 0, n = below(30); i < n; ++i) {
      out += ascii ? ascii_words(14) : words(10);
      if (one_in(8)) out += one_in(2) ? " " : "\t";
      if (one_in(20)) out.append(below(1300), '=');
      if (one_in(20)) out += ".\n.";
      if (one_in(20)) out += "From here";
      if (one_in(30)) out += "--=_x--";
      if (one_in(60)) out += '\x01';
      out += mixed ? kEnds[below(kEnds.size())] : usual;
    }
    if (one_in(2)) out += ascii ? "end" : "конец";
    return out;
  }

  sdk::Mailbox mailbox() {
    static constexpr std::array<std::string_view, 8> kAddresses{
        "a@example.org",         "first.last+tag@mail.example.com",
        "\"a b\"@example.org",   "x@xn--bcher-kva.example",
        "o'brien@example.net",   "user@localhost",
        "jürgen@bücher.example", "用户@例子.example",
    };
    sdk::Mailbox mailbox;
    mailbox.address = kAddresses[below(one_in(6) ? 8 : 6)];
    if (one_in(20)) {
      mailbox.address = std::string(64, 'l') + '@' + std::string(60, 'd') + '.' +
                        std::string(60, 'e') + '.' + std::string(60, 'f') + ".org";
    }
    switch (below(5)) {
      case 0:
        break;
      case 1:
        mailbox.name = ascii_words(4);
        break;
      case 2:
        mailbox.name = "Quoted, " + ascii_words(3) + " \"x\" \\";
        break;
      case 3:
        mailbox.name = ascii_words(30);
        break;
      default:
        mailbox.name = words(6);
    }
    return mailbox;
  }

  std::vector<sdk::Mailbox> mailboxes(std::size_t most) {
    std::vector<sdk::Mailbox> out(below(most + 1));
    for (auto& mailbox : out) mailbox = this->mailbox();
    return out;
  }

  sdk::Attachment attachment(std::size_t number) {
    static constexpr std::array<std::string_view, 7> kTypes{
        "application/pdf",
        "image/png",
        "text/plain; charset=utf-8",
        "application/octet-stream",
        "text/calendar; method=REQUEST; charset=\"utf-8\"",
        "message/rfc822",
        "IMAGE/Jpeg"};
    sdk::Attachment out;
    out.content_type = kTypes[below(kTypes.size())];
    out.is_inline = one_in(3);
    if (out.is_inline || one_in(6)) out.content_id = "part" + std::to_string(number) + "@local";
    switch (below(6)) {
      case 0:
        break;
      case 1:
        out.filename = "report.pdf";
        break;
      case 2:
        out.filename = ascii_words(30) + ".txt";
        break;
      case 3:
        out.filename = words(30) + ".doc";
        break;
      case 4:
        out.filename = "it's \"100%\" * \\ done.txt";
        break;
      default:
        out.filename = words(2) + ".png";
    }
    if (out.content_type == "message/rfc822" && one_in(2)) {
      out.content = "From: a@example.org\nSubject: inner\n\n" + ascii_words(20) + '\n';
    } else {
      out.content = bytes(one_in(10) ? 5000 : 300);
    }
    return out;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace

Draft sample_draft(std::uint64_t seed) {
  Source source(seed);
  Draft draft;
  draft.from = source.mailbox();
  draft.to = source.mailboxes(source.one_in(10) ? 60 : 4);
  draft.cc = source.mailboxes(2);
  draft.reply_to = source.mailboxes(1);
  draft.subject = source.subject();
  const std::size_t shape = source.below(4);
  if (shape != 1) draft.text = source.body();
  if (shape != 2) draft.html = source.body();
  if (source.one_in(2)) {
    for (std::size_t i = 0, n = source.below(4); i < n; ++i) {
      draft.attachments.push_back(source.attachment(i));
    }
  }
  for (std::size_t i = 0, n = source.below(4); i < n; ++i) {
    std::string name = "X-Custom-" + std::to_string(i);
    if (source.one_in(6)) name += std::string(60, 'n');
    switch (source.below(4)) {
      case 0:
        draft.headers.emplace_back(name, source.ascii_words(40));
        break;
      case 1:
        draft.headers.emplace_back(name, std::string(source.below(1500), 'v'));
        break;
      case 2:
        draft.headers.emplace_back(name, "<https://example.org/" + std::string(300, 'u') + '>');
        break;
      default:
        draft.headers.emplace_back(name, "Größe " + source.ascii_words(5) + " 👋 ende");
    }
  }
  draft.message_id =
      make_message_id("0190a1b2-0000-7000-8000-" + std::to_string(seed), "post.example");
  draft.date = 1'750'000'000'000 + static_cast<UnixMillis>(source.below(1'000'000'000)) * 1000;
  return draft;
}

std::string with_crlf(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      out += "\r\n";
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    } else if (text[i] == '\n') {
      out += "\r\n";
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string wire_fault(std::string_view mime) {
  bool header = true;
  for (std::size_t at = 0, line = 1; at < mime.size(); ++line) {
    const auto where = [line](std::string_view what) {
      return std::string(what) + " in line " + std::to_string(line);
    };
    const std::size_t end = mime.find("\r\n", at);
    if (end == std::string_view::npos) return where("no CRLF at the end");
    const std::string_view text = mime.substr(at, end - at);
    if (text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
      return where("a lone CR, LF or a NUL");
    }
    if (text.size() > 998) return where("more than 998 octets");
    if (text.empty()) header = false;
    // Only one word, with the field's name or alone, may go beyond 78.
    if (header && text.size() > 78 && text.find(' ', text.find(' ') + 1) < text.rfind(' ')) {
      return where("an unfolded header line");
    }
    if (header && text.find_first_not_of(" \t") == std::string_view::npos && !text.empty()) {
      return where("a header line of white space alone");
    }
    at = end + 2;
  }
  if (header) return "no empty line behind the headers";
  return {};
}

}  // namespace postern::mail
