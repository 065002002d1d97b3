// postern/sdk/storage.h: the contract between the gateway and the place where everything durable
// lives. Values in, values out; no SQL, no callbacks. storage_conformance proves a plugin.
//
// Threads: commit, lease, recover and purge are called by one thread at a time (the writer). The
// reads are called by any number of threads at once, also while the writer works.
//
// Identifiers and addresses are UTF-8 text without NUL; `body`, `response`, `payload` and `json`
// may be any bytes. Times are UnixMillis unless they say otherwise.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "postern/sdk/host.h"
#include "postern/sdk/result.h"
#include "postern/sdk/settings.h"

namespace postern::sdk {

struct StorageError {
  enum class Kind : std::uint8_t {
    unavailable,  // nothing was stored; the same call may work later (locked, disk full, no server)
    unknown,      // a commit may or may not have been stored (the answer to COMMIT was lost)
    invalid,      // `unit` and `op` of the commit can't be stored at all; nothing was stored
    unusable,     // wrong file, schema from the future, corrupt: an operator must act
  };
  Kind kind = Kind::unavailable;
  std::string message;   // what and where and what to do; no secrets
  std::size_t unit = 0;  // when invalid
  std::size_t op = 0;    // when invalid
};
template <typename T>
using Stored = Expected<T, StorageError>;

struct StorageOptions {
  Settings settings;
  // gateway: the one that serves; a second one on storage that can have only one is refused.
  // tool: a command beside it. inspect: read-only, creates nothing.
  enum class Role : std::uint8_t { gateway, tool, inspect };
  Role role = Role::gateway;
};

// ---- Documents: resources by kind (organization, api_key, provider_account, suppression, …) ----

struct Document {
  std::string kind;
  std::string organization;  // empty: belongs to the operator
  std::string id;            // unique per kind
  std::string unique_key;    // unique per kind unless empty; callers prefix the organization
  std::uint64_t version = 0;  // 1 when made, one more with every put; set by storage
  std::string json;
  std::optional<UnixMillis> expires_at;  // from then on it is as if deleted
  UnixMillis created_at = 0;
  UnixMillis updated_at = 0;
};

struct DocumentQuery {
  std::string kind;
  std::optional<std::string> organization;
  std::string after_id;     // cursor: ids above this, in ascending order
  std::uint32_t offset = 0;
  std::uint32_t limit = 100;
};

// One entry of the change feed. Gapless: a change that commits late has a later revision.
struct DocumentChange {
  std::uint64_t revision = 0;
  std::string kind;
  std::string organization;
  std::string id;
  bool deleted = false;
};

// ---- Messages ----

enum class MessageStatus : std::uint8_t {
  scheduled, queued, sending, sent, delivered, deferred, bounced, complained, failed, canceled,
  suppressed,
};
enum class RecipientRole : std::uint8_t { to, cc, bcc };

struct MessageRecord {
  std::string id;             // UUIDv7
  std::string organization;
  bool test = false;
  std::string stream;
  MessageStatus status = MessageStatus::queued;
  std::string account;        // provider account id
  std::string provider_type;
  std::string from;           // address
  std::string sender_domain;
  std::string subject;
  std::string message_id_header;
  std::vector<std::string> tags;
  std::string template_id;
  std::string metadata_json;  // "" or an object of strings
  std::uint32_t recipient_count = 0;
  UnixMillis created_at = 0;
  UnixMillis updated_at = 0;
  std::optional<UnixMillis> send_at;
};

struct RecipientRecord {
  std::uint32_t index = 0;    // 0-based, in order of to, cc, bcc
  RecipientRole role = RecipientRole::to;
  std::string address;
  MessageStatus status = MessageStatus::queued;
  std::string enhanced_status;
  std::string detail;
  std::string provider_message_id;
  UnixMillis updated_at = 0;
};

enum class EventType : std::uint8_t {
  queued, sent, delivered, opened, clicked, bounced, complained, unsubscribed, dropped, deferred,
};
inline constexpr std::int32_t kAllRecipients = -1;

struct EventRecord {
  std::string id;             // UUIDv7
  std::string message_id;
  std::string organization;
  EventType type = EventType::queued;
  std::int32_t recipient = kAllRecipients;  // RecipientRecord::index
  UnixMillis at = 0;
  std::string account;
  std::uint32_t attempt = 0;  // 0: not of an attempt
  std::string detail_json;    // "" or an object
  std::string deduplication_key;  // not empty: a second one of the organization makes its unit a duplicate
};

// ---- Work: what is due, leased by one gateway at a time ----

enum class Queue : std::uint8_t { deliveries, webhooks, jobs };

// Fairness is by lane: a delivery's is its provider account, a webhook's its endpoint.
struct WorkItem {
  Queue queue = Queue::deliveries;
  std::string id;
  std::string organization;
  std::string lane;
  std::uint8_t priority = 0;   // lower first: 0 transactional, 1 bulk
  UnixMillis due = 0;
  std::uint32_t attempts = 0;
  std::string message_id;      // deliveries: the message; else empty or what it concerns
  std::string payload;         // opaque
};

// Who holds it until when. `fence` grows with every lease, so that a late holder is refused.
struct Lease {
  std::string owner;           // "node/incarnation"
  UnixMillis until = 0;        // on storage's clock
  std::uint64_t fence = 0;
};

struct LeasedWork {
  WorkItem item;
  Lease lease;
  bool taken_over = false;     // an earlier holder did not finish: what it did is not known
};

struct LeaseRequest {
  Queue queue = Queue::deliveries;
  std::string owner;
  std::chrono::milliseconds lease_for{60'000};
  UnixMillis now = 0;           // items with due <= now (an expired lease is due when it expired)
  std::uint32_t limit = 100;    // in all
  std::uint32_t lane_quota = 10;  // per lane, unless named here; 0 skips the lane
  std::vector<std::pair<std::string, std::uint32_t>> lane_quotas;
};

// ---- Operations of a commit ----

struct PutDocument {
  Document document;
  std::optional<std::uint64_t> expected_version;  // 0: must not exist; none: whatever is there
};
struct DeleteDocument {
  std::string kind;
  std::string organization;
  std::string id;
  std::optional<std::uint64_t> expected_version;  // none: deleting nothing is no conflict
};
// The first unit with this scope and key is stored; a later one is a replay (same hash) or a
// conflict (another hash), and none of its other ops happen.
struct ClaimIdempotency {
  std::string scope;          // organization and route
  std::string key;
  std::string request_hash;
  std::string response;       // given back on replay
  UnixMillis expires_at = 0;
};
// Stores message, recipients, body and work in one. `suppression_keys[i]`, where given, belong to
// recipients[i]: if one is a live unique_key of a "suppression" document, that recipient is stored
// as suppressed. If all are, the work is not stored, and neither is anything else of the unit when
// `drop_if_all_suppressed`.
struct EnqueueMessage {
  MessageRecord message;
  std::vector<RecipientRecord> recipients;
  std::vector<std::vector<std::string>> suppression_keys;  // empty or one entry a recipient
  bool drop_if_all_suppressed = true;
  std::shared_ptr<const std::string> body;  // what the gateway needs to compose it again
  WorkItem work;                            // with an empty id: none is stored
  std::optional<std::string> lease_owner;   // born leased, for lease_for, with fence 1
  std::chrono::milliseconds lease_for{60'000};
};
// Overwrites what it names. Put the FinishWork or RescheduleWork that holds the fence first in the
// unit, so that a late worker changes nothing.
struct UpdateMessage {
  std::string organization;
  std::string message_id;
  std::optional<MessageStatus> status;
  std::optional<std::string> account;
  std::optional<std::string> provider_type;
  std::vector<RecipientRecord> recipients;  // whole rows, by index
  UnixMillis at = 0;
};
struct AppendEvent {
  EventRecord event;
};
struct PutWork {
  WorkItem item;
  std::optional<std::string> lease_owner;
  std::chrono::milliseconds lease_for{60'000};
};
struct FinishWork {  // deletes the item
  Queue queue = Queue::deliveries;
  std::string id;
  std::optional<std::uint64_t> fence;  // none: must not be leased by anyone now
};
// Gives the lease back. Without a fence, an item whose holder's lease ran out keeps that holder: the
// next lease of it is taken_over.
struct RescheduleWork {
  Queue queue = Queue::deliveries;
  std::string id;
  std::optional<std::uint64_t> fence;  // none: must not be leased by anyone now
  UnixMillis due = 0;
  std::optional<std::uint32_t> attempts;
  std::optional<std::string> lane;
  std::optional<std::string> payload;
};
struct RenewLease {
  Queue queue = Queue::deliveries;
  std::string id;
  std::uint64_t fence = 0;
  std::chrono::milliseconds lease_for{60'000};
};
// Rows per gateway, summed by reads; a job folds them. No row is shared by gateways.
struct AddMetrics {
  std::string organization;
  UnixMillis hour = 0;         // start of the hour, UTC
  std::string account;
  std::string sender_domain;
  std::string template_id;
  std::string tag;             // empty: the total; else counted for that tag
  std::string gateway;
  EventType type = EventType::sent;
  std::int64_t count = 1;
};

using Op = std::variant<PutDocument, DeleteDocument, ClaimIdempotency, EnqueueMessage, UpdateMessage,
                        AppendEvent, PutWork, FinishWork, RescheduleWork, RenewLease, AddMetrics>;

// What must be true together. All of its ops happen or none; another unit's failure is not its own.
struct Unit {
  std::vector<Op> ops;
};

struct UnitResult {
  enum class Status : std::uint8_t {
    stored,
    replay,               // `response` is the first one's
    idempotency_conflict,
    duplicate_event,
    version_conflict,     // a document has another version, or is not there
    key_conflict,         // a document's unique_key or id, or a message's id, is taken
    stale_lease,          // the work item is gone, has another fence or holder, or (PutWork) is leased
    all_suppressed,       // drop_if_all_suppressed: nothing stored
    not_found,            // UpdateMessage of no message
  };
  Status status = Status::stored;
  std::size_t op = 0;                     // the op that decided, when not stored
  std::string response;                   // replay
  std::vector<std::uint32_t> suppressed;  // recipient indexes, of the unit's EnqueueMessages in order
  std::vector<std::uint64_t> fences;      // of the unit's EnqueueMessage and PutWork born leased, in order
};

// ---- Reads ----

struct MessageDetail {
  MessageRecord message;
  std::vector<RecipientRecord> recipients;
  std::vector<EventRecord> events;  // by time, then id
};
struct StoredMessage {
  MessageRecord message;
  std::vector<RecipientRecord> recipients;
  std::shared_ptr<const std::string> body;  // null: purged
};
struct MessageQuery {
  std::string organization;
  std::optional<MessageStatus> status;
  std::string recipient;   // address
  std::string from;
  std::string tag;
  std::string account;
  std::optional<UnixMillis> since;  // created_at >= since
  std::optional<UnixMillis> until;  // created_at < until
  std::string before_id;   // cursor: ids below this; newest first
  std::uint32_t offset = 0;
  std::uint32_t limit = 20;
  std::uint32_t count_up_to = 0;  // how far to count the total; 0: don't
};
struct MessagePage {
  std::vector<MessageRecord> messages;
  std::uint32_t total = 0;
  bool total_is_lower_bound = false;
};
struct MetricQuery {
  std::string organization;
  UnixMillis since = 0;
  UnixMillis until = 0;
};
struct MetricRow {
  UnixMillis hour = 0;
  std::string account;
  std::string sender_domain;
  std::string template_id;
  std::string tag;
  EventType type = EventType::sent;
  std::int64_t count = 0;
};
struct LaneDepth {
  std::string lane;
  std::string organization;
  std::uint64_t waiting = 0;
  std::uint64_t leased = 0;
  UnixMillis oldest_due = 0;
};
struct WorkQuery {
  Queue queue = Queue::deliveries;
  std::string organization;  // empty: all
  std::string lane;          // empty: all
  std::string after_id;
  std::uint32_t limit = 100;
};
struct WorkRow {
  WorkItem item;
  std::optional<Lease> lease;
};
struct PurgeRequest {
  std::string organization;                  // empty: all
  std::optional<UnixMillis> bodies_before;   // of final messages made before
  std::optional<UnixMillis> messages_before; // final ones, with recipients and events
  std::optional<UnixMillis> expired_before;  // idempotency records and expired documents
  std::optional<std::uint64_t> changes_through;  // change feed entries up to this revision
  std::string recipient;                     // erase this address in `organization`
  std::uint32_t limit = 1000;                // rows of each at most, so that a call is short
};
struct PurgeResult {
  std::uint64_t removed = 0;
  bool more = false;
};
// One step of a walk over everything that is stored, for copy, export and check.
struct IterateResult {
  std::vector<Op> ops;      // what would store these rows in an empty storage
  std::string cursor;       // empty: the end
};

class Storage {
 public:
  virtual ~Storage() = default;

  // Stores the units in one durable transaction; when it returns, they survive power loss.
  // results[i] is that of units[i]. The caller sees to it that no two units of a call name the
  // same document, unique key, idempotency key, deduplication key, message id or work item, so that units
  // are independent; ops of one unit happen in order. On an error nothing was stored, except for
  // Kind::unknown.
  virtual Stored<std::vector<UnitResult>> commit(std::span<const Unit> units) = 0;

  // Takes due work. Order: lanes in turn, and in a lane by priority, then due. Durable when it
  // returns. An item whose lease has run out is due, and comes with taken_over.
  virtual Stored<std::vector<LeasedWork>> lease(const LeaseRequest& request) = 0;

  // Makes work that `node` ("node/…" of an earlier incarnation) holds due now, to be taken over.
  // Answers how many.
  virtual Stored<std::uint64_t> recover(const std::string& node, const std::string& incarnation,
                                        UnixMillis now) = 0;

  // Deletes a bounded number of rows; never anything that is not final or still queued.
  virtual Stored<PurgeResult> purge(const PurgeRequest& request) = 0;

  // ---- reads, from any thread ----
  virtual Stored<std::optional<Document>> document(const std::string& kind,
                                                   const std::string& id) = 0;
  virtual Stored<std::optional<Document>> document_by_key(const std::string& kind,
                                                          const std::string& unique_key) = 0;
  // exists[i] says whether unique_keys[i] is a live document's.
  virtual Stored<std::vector<bool>> any_exist(const std::string& kind,
                                              std::span<const std::string> unique_keys) = 0;
  virtual Stored<std::vector<Document>> documents(const DocumentQuery& query) = 0;
  virtual Stored<std::uint64_t> count_documents(const DocumentQuery& query) = 0;

  virtual Stored<std::optional<MessageDetail>> message(const std::string& organization,
                                                       const std::string& id) = 0;
  // For delivery, in the order of `ids`; one that is not there is left out.
  virtual Stored<std::vector<StoredMessage>> messages_for_delivery(
      std::span<const std::string> ids) = 0;
  virtual Stored<MessagePage> messages(const MessageQuery& query) = 0;
  // The message that a provider's own id belongs to; the account's, newest first.
  virtual Stored<std::optional<std::string>> message_by_provider_id(
      const std::string& account, const std::string& provider_message_id) = 0;
  virtual Stored<std::vector<MetricRow>> metrics(const MetricQuery& query) = 0;

  virtual Stored<std::vector<LaneDepth>> depth(Queue queue, UnixMillis now) = 0;
  virtual Stored<std::vector<WorkRow>> work(const WorkQuery& query) = 0;

  // Changes above `after`, in ascending order. `after` 0 starts at the oldest that is kept.
  virtual Stored<std::vector<DocumentChange>> changes(std::uint64_t after, std::uint32_t limit) = 0;
  virtual Stored<std::uint64_t> last_revision() = 0;

  virtual Stored<IterateResult> iterate(const std::string& cursor, std::uint32_t limit) = 0;
  // What is inconsistent, in words; empty: nothing was found.
  virtual Stored<std::vector<std::string>> check() = 0;
  // Whether a commit could work now; fast, no side effects.
  virtual Stored<Done> ping() = 0;
};

}  // namespace postern::sdk
