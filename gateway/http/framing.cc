#include "http/framing.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/bytes.h"

namespace postern::http {
namespace {

using Table = std::array<bool, 256>;

constexpr void allow(Table& table, std::string_view characters) {
  for (const char c : characters) table[static_cast<unsigned char>(c)] = true;
}

constexpr Table alphanumeric() {
  Table table{};
  for (unsigned c = '0'; c <= '9'; ++c) table[c] = true;
  for (unsigned c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (unsigned c = 'A'; c <= 'Z'; ++c) table[c] = true;
  return table;
}

constexpr Table kToken = [] {
  Table table = alphanumeric();
  allow(table, "!#$%&'*+-.^_`|~");
  return table;
}();

// RFC 9110 5.5: VCHAR, obs-text, SP, HTAB.
constexpr Table kValue = [] {
  Table table{};
  for (unsigned c = 0x20; c <= 0xff; ++c) table[c] = c != 0x7f;
  table['\t'] = true;
  return table;
}();

// Visible ASCII without what no URI may have anywhere.
constexpr Table kTarget = [] {
  Table table{};
  for (unsigned c = 0x21; c <= 0x7e; ++c) table[c] = true;
  table['#'] = table['"'] = table['<'] = table['>'] = table['\\'] = false;
  return table;
}();

// RFC 3986 3.2.2 with a port. No comma: a list of hosts is no host.
constexpr Table kHost = [] {
  Table table = alphanumeric();
  allow(table, "-._~%!$&'()*+;=:[]");
  return table;
}();

bool all(std::string_view text, const Table& table) {
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return table[static_cast<unsigned char>(c)]; });
}

std::string_view trim_space(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

using Verdict = std::optional<Fault>;

Fault bad(std::string_view message) {
  return {400, message};
}

// One pass over the header lines.
class HeadCheck {
 public:
  HeadCheck(std::string_view head, std::size_t max_headers)
      : rest_(head), max_headers_(max_headers) {}

  sdk::Expected<Framing, Fault> run() {
    std::string_view line;
    if (auto fault = next_line(line)) return *fault;
    if (auto fault = request_line(line)) return *fault;
    for (;;) {
      if (auto fault = next_line(line)) return *fault;
      if (line.empty()) break;
      if (auto fault = header(line)) return *fault;
    }
    if (!rest_.empty()) return bad("Bytes follow the header section");
    if (auto fault = conclude()) return *fault;
    return out_;
  }

 private:
  Verdict next_line(std::string_view& line) {
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos) return bad("The header section does not end");
    if (end == 0 || rest_[end - 1] != '\r') return bad("A line ends without CR LF");
    line = rest_.substr(0, end - 1);
    rest_.remove_prefix(end + 1);
    return std::nullopt;
  }

  Verdict request_line(std::string_view line) {
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    if (first == std::string_view::npos || first == last) return bad("Malformed request line");
    out_.method = line.substr(0, first);
    const std::string_view target = line.substr(first + 1, last - first - 1);
    if (!is_token(out_.method)) return bad("The method is not a token");
    if (target.empty() || !all(target, kTarget)) return bad("Malformed request target");
    if (auto fault = version(line.substr(last + 1))) return fault;
    return split_target(target);
  }

  Verdict version(std::string_view text) {
    if (text == "HTTP/1.1") return std::nullopt;
    if (text == "HTTP/1.0") {
      out_.http11 = out_.keep_alive = false;
      return std::nullopt;
    }
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    const bool version = text.size() == 8 && text.starts_with("HTTP/") && digit(text[5]) &&
                         text[6] == '.' && digit(text[7]);
    if (version) return Fault{505, "Only HTTP/1.1 and HTTP/1.0 are spoken here"};
    return bad("Malformed HTTP version");
  }

  // RFC 9112 3.2: origin-form, absolute-form, and '*' for OPTIONS.
  Verdict split_target(std::string_view target) {
    if (target == "*") {
      if (out_.method != "OPTIONS") return bad("The target * is for OPTIONS alone");
      out_.path = target;
      return std::nullopt;
    }
    if (target.front() != '/') {
      const std::size_t colon = target.find("://");
      if (colon == std::string_view::npos) return bad("The target is neither a path nor a URL");
      const std::string_view scheme = target.substr(0, colon);
      if (!ascii_iequals(scheme, "http") && !ascii_iequals(scheme, "https")) {
        return bad("The target's scheme is not http or https");
      }
      target.remove_prefix(colon + 3);
      const std::string_view authority = target.substr(0, target.find_first_of("/?"));
      if (authority.empty() || !all(authority, kHost)) return bad("The target has no valid host");
      target.remove_prefix(authority.size());
    }
    const std::size_t question = target.find('?');
    out_.path = target.substr(0, question);
    if (out_.path.empty()) out_.path = "/";
    if (question != std::string_view::npos) out_.query = target.substr(question + 1);
    return std::nullopt;
  }

  Verdict header(std::string_view line) {
    if (++out_.header_count > max_headers_) return Fault{431, "Too many header fields"};
    if (line.front() == ' ' || line.front() == '\t') return bad("A header is folded");
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return bad("A header has no colon");
    const std::string_view name = line.substr(0, colon);
    if (!is_token(name)) return bad("A header's name is not a token");
    if (!all(line.substr(colon + 1), kValue)) return bad("A header has a control character");
    const std::string_view value = trim_space(line.substr(colon + 1));
    switch (name.size()) {  // of the few that matter; the sizes differ
      case 4:
        return ascii_iequals(name, "Host") ? host(value) : std::nullopt;
      case 6:
        return ascii_iequals(name, "Expect") ? expect(value) : std::nullopt;
      case 10:
        return ascii_iequals(name, "Connection") ? connection(value) : std::nullopt;
      case 14:
        return ascii_iequals(name, "Content-Length") ? content_length(value) : std::nullopt;
      case 17:
        return ascii_iequals(name, "Transfer-Encoding") ? transfer_encoding(value) : std::nullopt;
      default:
        return std::nullopt;
    }
  }

  Verdict host(std::string_view value) {
    if (++hosts_ > 1) return bad("More than one Host");
    if (!all(value, kHost)) return bad("Malformed Host");
    return std::nullopt;
  }

  Verdict expect(std::string_view value) {
    if (!ascii_iequals(value, "100-continue")) {
      return Fault{417, "Only 100-continue can be expected"};
    }
    expects_ = true;
    return std::nullopt;
  }

  Verdict connection(std::string_view value) {
    while (!value.empty()) {
      const std::string_view raw = value.substr(0, value.find(','));
      value.remove_prefix(std::min(raw.size() + 1, value.size()));
      const std::string_view option = trim_space(raw);
      if (!option.empty() && !is_token(option)) return bad("Malformed Connection");
      close_ = close_ || ascii_iequals(option, "close");
      keep_ = keep_ || ascii_iequals(option, "keep-alive");
    }
    return std::nullopt;
  }

  Verdict content_length(std::string_view value) {
    if (framed_) return bad("More than one of Content-Length and Transfer-Encoding");
    framed_ = true;
    const bool digits = !value.empty() && std::all_of(value.begin(), value.end(),
                                                      [](char c) { return c >= '0' && c <= '9'; });
    if (!digits) return bad("Content-Length is not a number");
    if (value.size() > 18) return Fault{413, "Content-Length is beyond all limits"};
    for (const char c : value) {
      out_.content_length = out_.content_length * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return std::nullopt;
  }

  Verdict transfer_encoding(std::string_view value) {
    if (framed_) return bad("More than one of Content-Length and Transfer-Encoding");
    framed_ = true;
    if (!out_.http11) return bad("Transfer-Encoding needs HTTP/1.1");
    if (value != "chunked") return bad("The only Transfer-Encoding is chunked");
    out_.chunked = true;
    return std::nullopt;
  }

  Verdict conclude() {
    if (out_.http11 && hosts_ == 0) return bad("Host is missing");
    out_.keep_alive = !close_ && (out_.http11 || keep_);
    out_.expects_continue = expects_ && out_.http11;  // RFC 9110 10.1.1: 1.0 can't mean it
    return std::nullopt;
  }

  std::string_view rest_;
  std::size_t max_headers_;
  Framing out_;
  std::size_t hosts_ = 0;
  bool framed_ = false;
  bool expects_ = false;
  bool close_ = false;
  bool keep_ = false;
};

}  // namespace

bool is_token(std::string_view text) {
  return !text.empty() && all(text, kToken);
}

HeadSize find_head(std::string_view input, std::size_t& scanned, std::size_t limit) {
  if (!input.empty() && !kToken[static_cast<unsigned char>(input.front())]) {
    return bad("This is not HTTP");
  }
  const std::string_view window = input.substr(0, limit);
  while (scanned < window.size()) {
    const std::size_t lf = window.find('\n', scanned);
    const std::string_view fresh = window.substr(scanned, lf - scanned);
    if (fresh.find('\0') != std::string_view::npos) return bad("A NUL in the header section");
    if (lf == std::string_view::npos) {
      scanned = window.size();
      break;
    }
    if (lf == 0 || window[lf - 1] != '\r') return bad("A line ends without CR LF");
    scanned = lf + 1;
    if (lf >= 3 && window[lf - 2] == '\n') return scanned;
  }
  if (input.size() >= limit) return Fault{431, "The header section is too large"};
  return std::size_t{0};
}

sdk::Expected<Framing, Fault> check_head(std::string_view head, std::size_t max_headers) {
  return HeadCheck(head, max_headers).run();
}

}  // namespace postern::http
