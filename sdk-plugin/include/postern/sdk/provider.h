// postern/sdk/provider.h: the contract between the gateway and one mail provider.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "postern/sdk/host.h"
#include "postern/sdk/result.h"
#include "postern/sdk/settings.h"

namespace postern::sdk {

enum class Mode : std::uint8_t { live, test };

// RFC 5322 3.4 mailbox: "Name <address>". The address has its domain in A-label form unless its
// local part needs SMTPUTF8 (RFC 6531); the name is UTF-8, unencoded.
struct Mailbox {
  std::string name;
  std::string address;
};

struct Attachment {
  std::string filename;      // may be empty
  std::string content_type;
  std::string content_id;    // without angle brackets; empty: none
  bool is_inline = false;
  std::string content;       // decoded bytes
};

// One attempt's view of a message: who it is addressed to in the headers is apart from who gets
// this copy (the envelope), because a retry may be for some recipients only.
struct OutboundMessage {
  std::string id;               // the gateway's message id, UUIDv7
  std::string organization;
  Mode mode = Mode::live;
  std::string stream;           // "transactional" or "bulk"

  std::string envelope_sender;          // RFC 5321 reverse-path, without brackets; may be empty
  std::vector<std::string> recipients;  // RFC 5321 forward-paths of this attempt, at least one

  Mailbox from;
  std::vector<Mailbox> to;
  std::vector<Mailbox> cc;
  std::vector<Mailbox> reply_to;
  std::vector<Mailbox> bcc;     // every blind recipient, never to be shown to anybody
  std::string message_id_header;  // with angle brackets; the same on every attempt
  std::string subject;
  std::string html;
  std::string text;
  std::vector<Attachment> attachments;
  std::vector<std::pair<std::string, std::string>> headers;  // custom ones
  std::vector<std::string> tags;
  std::vector<std::pair<std::string, std::string>> metadata;

  // The composed mail (RFC 5322, CRLF line ends, no dot-stuffing), where the adapter's
  // capabilities say `wants_mime`; else null. Shared by all attempts.
  std::shared_ptr<const std::string> mime;
  bool needs_8bitmime = false;  // the mime has octets above 127 in a body
  bool needs_smtputf8 = false;  // an address or header needs RFC 6531
};

struct Attempt {
  std::string id;             // unique for every call; fit for a provider's idempotency key
  std::uint32_t number = 1;   // 1-based, of this message
  Deadline deadline;          // the host answers by itself soon after
  std::stop_token cancel;     // asks to give up early; a request, not an order
};

enum class Verdict : std::uint8_t {
  accepted,     // the provider took responsibility: never send again
  deferred,     // this recipient or message, not now: later, same account
  rejected,     // permanent for this recipient: never retry
  throttled,    // the account must slow down: pause it, spend no attempt
  unreachable,  // the account can't be reached, nothing was handed over: another may be tried at once
  refused,      // the account is at fault (credentials, suspended, unverified sender)
};
inline constexpr std::size_t kVerdictCount = 6;

struct Outcome {
  Verdict verdict = Verdict::deferred;
  bool ambiguous = false;            // bytes left us and no answer came: a retry may duplicate
  std::string enhanced_status;       // RFC 3463, e.g. "4.7.1"; empty: none was given
  std::string detail;                // the provider's own words
  std::string provider_message_id;   // when accepted
  std::chrono::seconds retry_after{0};  // 0: the gateway decides
};

using Completion = std::function<void(std::vector<Outcome>)>;

// What an account of this type can do; checked when a message is accepted, so that an unsupported
// feature is refused there and never dropped silently. 0 means no limit.
struct Capabilities {
  std::uint32_t max_recipients = 0;      // of one call
  std::uint64_t max_message_bytes = 0;   // of the composed mail
  std::uint32_t max_tags = 0;
  bool supports_tags = true;
  bool supports_metadata = true;
  bool supports_custom_headers = true;
  bool supports_nameless_attachments = true;
  bool supports_inline_attachments = true;
  bool supports_smtputf8 = false;
  bool independent_envelope = false;     // any subset of recipients may be sent alone
  bool deduplicates = false;             // by Attempt::id or the message id
  bool final_delivery = false;           // accepted means delivered
  bool sends_events = false;             // calls /hooks/{account} later
  bool wants_mime = true;                // reads OutboundMessage::mime
};

// What POST /v1/providers/{id}/validate and the creation of an account learn, without sending.
struct Validation {
  enum class Result : std::uint8_t { valid, invalid_credentials, unreachable };
  Result result = Result::valid;
  std::string detail;  // the provider's own words
};

// One HTTP request that came in at /hooks/{account}, unverified.
struct HookRequest {
  std::string method;
  std::string path;
  std::vector<std::pair<std::string, std::string>> query;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::string client_address;
};

enum class ProviderEventType : std::uint8_t {
  delivered, opened, clicked, bounced, complained, unsubscribed, dropped, deferred, other,
};

struct ProviderEvent {
  ProviderEventType type = ProviderEventType::other;
  std::string deduplication_key;    // the same for the same event, however often it is posted
  std::string message_id;           // the gateway's, when the provider returns it
  std::string provider_message_id;  // else this one
  std::string recipient;
  UnixMillis at = 0;
  bool permanent = false;           // a hard bounce
  std::string enhanced_status;
  std::string detail;
  std::string raw;                  // the provider's own form, kept
};

struct HookResult {
  enum class Status : std::uint8_t { verified, forged, malformed, ignored };
  Status status = Status::forged;
  std::vector<ProviderEvent> events;  // when verified
  std::string detail;                 // why not
};

struct ProviderAccount {
  std::string id;            // of the account, stable
  std::string organization;
  std::string display_name;
  Settings settings;         // checked against PluginInfo::settings
  Settings credentials;      // checked against PluginInfo::credentials, in the clear
};

// One account at one provider. Thread-safe: several threads call at once. No virtual function is
// noexcept: the host has a barrier around every call, and noexcept would abort before it.
class ProviderAdapter {
 public:
  virtual ~ProviderAdapter() = default;

  // Starts delivery without blocking on the network. Calls `done` exactly once, from any thread,
  // possibly before returning, by attempt.deadline; outcomes[i] answers message->recipients[i].
  // Every failure is an Outcome; what is thrown counts as deferred and ambiguous.
  virtual void send(std::shared_ptr<const OutboundMessage> message, const Attempt& attempt,
                    Completion done) = 0;

  // Asks the provider whether the credentials work, sending no mail. `done` as in send.
  virtual void validate(Deadline deadline, std::function<void(Validation)> done) = 0;

  // Verifies and translates one posted event. Asynchronous: certificates may have to be fetched.
  virtual void verify_event(std::shared_ptr<const HookRequest> request, Deadline deadline,
                            std::function<void(HookResult)> done) = 0;

  // Refuses new work, answers what is in flight (deferred at `deadline`), and returns when no
  // callback can run any more.
  virtual void drain(Deadline deadline) = 0;
};

// What one provider plugin shares among its accounts: threads, connection pools, parsed trust
// stores. Made once, destroyed after every adapter.
class Provider {
 public:
  virtual ~Provider() = default;
  // Does no I/O; a setting that can't work is the error, in words for the operator.
  virtual Expected<std::unique_ptr<ProviderAdapter>, std::string> open(
      const ProviderAccount& account) = 0;
};

}  // namespace postern::sdk
