#include "outcome.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace postern::smtp {
namespace {

using sdk::Outcome;
using sdk::Verdict;

std::string lower(std::string_view text) {
  std::string out{text.substr(0, 1024)};
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

template <std::size_t N>
bool has_any(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.find(word) != std::string_view::npos;
  });
}

// The sender sends too fast, or has too many connections: words of Postfix, Exim, Exchange Online,
// Gmail, SES, Yahoo. "Too many recipients" and full mailboxes are no matter of rate.
constexpr std::array<std::string_view, 14> kRateWords{
    "throttl",          "rate limit",          "ratelimit",         "sending rate",
    "too many connect", "too many concurrent", "too many messages", "too many login",
    "too many session", "sending limit",       "sending quota",     "message quota",
    "slow down",        "too quickly",
};

// The account may not send this at all; the recipient has nothing to do with it.
constexpr std::array<std::string_view, 10> kAccountWords{
    "not verified",        "not owned by",    "relay access denied",  "relaying denied",
    "relay not permitted", "unable to relay", "relaying not allowed", "account suspended",
    "account disabled",    "sending paused",
};

constexpr std::array<std::string_view, 3> kAuthWords{"authenticat", "auth first", "log in"};

bool is_any(std::string_view value, std::initializer_list<std::string_view> values) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

// "7.1" of "5.7.1".
std::string_view detail_of(std::string_view enhanced) {
  return enhanced.size() > 2 ? enhanced.substr(2) : std::string_view{};
}

Verdict verdict_before_mail(Stage stage, const Reply& reply, std::string_view enhanced,
                            std::string_view text) {
  const std::string_view detail = detail_of(enhanced);
  if (reply.code < 500) {
    const bool rate = has_any(text, kRateWords) || is_any(detail, {"7.28"});
    if (rate || (stage == Stage::auth && reply.code == 454)) return Verdict::throttled;
    return Verdict::unreachable;
  }
  // 538 and 534 ask for encryption or a stronger mechanism, 535 says no, 530 wants AUTH first.
  if (stage == Stage::auth) return Verdict::refused;
  return Verdict::unreachable;
}

Verdict verdict_of_4xx(Stage stage, const Reply& reply, std::string_view enhanced,
                       std::string_view text) {
  const std::string_view detail = detail_of(enhanced);
  const bool of_mailbox = detail.starts_with("2.");
  if (!of_mailbox && (has_any(text, kRateWords) || is_any(detail, {"7.28"}))) {
    return Verdict::throttled;
  }
  if (is_any(detail, {"7.8"})) return Verdict::refused;
  // SES and others say 454 for a quota; at RCPT Postfix says it for one recipient.
  if (reply.code == 454 && stage != Stage::rcpt) return Verdict::throttled;
  // The server goes away before it has seen a recipient.
  if (reply.code == 421 && stage == Stage::mail) return Verdict::unreachable;
  return Verdict::deferred;
}

Verdict verdict_of_5xx(Stage stage, const Reply& reply, std::string_view enhanced,
                       std::string_view text) {
  const std::string_view detail = detail_of(enhanced);
  const bool wants_auth = reply.code == 530 || reply.code == 534 || reply.code == 535 ||
                          reply.code == 538 || is_any(detail, {"7.8", "7.9", "7.11"});
  if (wants_auth) return Verdict::refused;
  if (has_any(text, kAccountWords)) return Verdict::refused;
  if (reply.code == 503) {
    // Out of order: the session is at fault, and the next one need not be.
    return has_any(text, kAuthWords) ? Verdict::refused : Verdict::deferred;
  }
  // RFC 5321 4.5.3.1.10: servers of old say 552 for 452.
  if (stage == Stage::rcpt &&
      (is_any(detail, {"5.3"}) || text.find("too many recipients") != std::string_view::npos)) {
    return Verdict::deferred;
  }
  if (stage == Stage::mail) {
    // Policy against the sender: the account may not use this address, or may not send.
    if (detail.starts_with("7.")) return Verdict::refused;
    if (enhanced.empty() && (reply.code == 550 || reply.code == 553 || reply.code == 554)) {
      return Verdict::refused;
    }
  }
  return Verdict::rejected;
}

// "queued as X" of Postfix, "id=X" of Exim, "Ok X" of SES.
std::string queue_id(std::string_view text) {
  const auto word = [&](std::size_t at) {
    const std::size_t end = text.find_first_of(" \n;)>", at);
    return printable(text.substr(at, end == std::string_view::npos ? end : end - at));
  };
  for (const std::string_view key : {std::string_view{"queued as "}, std::string_view{"id="}}) {
    const std::size_t at = text.find(key);
    if (at != std::string_view::npos) return word(at + key.size());
  }
  for (const std::string_view key : {std::string_view{"Ok "}, std::string_view{"OK "}}) {
    if (text.starts_with(key) && text.find(' ', key.size()) == std::string_view::npos) {
      return word(key.size());
    }
  }
  return {};
}

}  // namespace

std::string_view name_of(Stage stage) {
  switch (stage) {
    case Stage::connect:
      return "connect";
    case Stage::greeting:
      return "greeting";
    case Stage::ehlo:
      return "EHLO";
    case Stage::tls:
      return "STARTTLS";
    case Stage::auth:
      return "AUTH";
    case Stage::mail:
      return "MAIL";
    case Stage::rcpt:
      return "RCPT";
    case Stage::data:
      return "DATA";
    case Stage::content:
      return "content";
  }
  return "";
}

Outcome outcome_of(Stage stage, const Reply& reply) {
  Outcome outcome;
  const std::string_view enhanced = enhanced_status_of(reply);
  outcome.enhanced_status = std::string{enhanced};
  outcome.detail = describe(reply);
  if (reply.positive() && stage == Stage::content) {
    outcome.verdict = Verdict::accepted;
    outcome.provider_message_id =
        queue_id(enhanced.empty() ? std::string_view{reply.text}
                                  : std::string_view{reply.text}.substr(
                                        std::min(enhanced.size() + 1, reply.text.size())));
    return outcome;
  }
  if (reply.code < 400) {
    // A yes that ends nothing here: the session is out of step.
    outcome.verdict = stage == Stage::content ? Verdict::deferred : Verdict::unreachable;
    outcome.ambiguous = stage == Stage::content;
    return outcome;
  }
  std::string text = lower(reply.text);
  // What stands in angle brackets is an address that the server repeats, which a client chose, and
  // not its own words. A quoted local part may hold '>': to the last one.
  const auto open = text.find('<');
  const auto close = text.rfind('>');
  if (open != std::string::npos && close != std::string::npos && close > open) {
    text.erase(open, close - open + 1);
  }
  if (stage < Stage::mail) {
    outcome.verdict = verdict_before_mail(stage, reply, enhanced, text);
  } else if (reply.code < 500) {
    outcome.verdict = verdict_of_4xx(stage, reply, enhanced, text);
  } else {
    outcome.verdict = verdict_of_5xx(stage, reply, enhanced, text);
  }
  return outcome;
}

Outcome outcome_of(Stage stage, Fault fault, bool end_may_have_left, std::string detail) {
  Outcome outcome;
  outcome.detail = std::move(detail);
  if (stage == Stage::content) {
    outcome.verdict = Verdict::deferred;
    outcome.ambiguous = end_may_have_left;
    return outcome;
  }
  switch (fault) {
    case Fault::lost:
    case Fault::timeout:
    case Fault::malformed:
    case Fault::tls:
      outcome.verdict = Verdict::unreachable;
      break;
    case Fault::auth:
      outcome.verdict = Verdict::refused;
      break;
    case Fault::canceled:
      outcome.verdict = Verdict::deferred;
      break;
  }
  return outcome;
}

}  // namespace postern::smtp
