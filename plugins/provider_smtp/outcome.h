// What a server said, or how a connection failed, as an Outcome. All of the judgement is here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "postern/sdk/provider.h"
#include "reply.h"

namespace postern::smtp {

// Where in the session it happened, in order: content is everything after DATA's 354.
enum class Stage : std::uint8_t { connect, greeting, ehlo, tls, auth, mail, rcpt, data, content };
inline constexpr int kStageCount = 9;

std::string_view name_of(Stage stage);

// How a session fails without a reply that says so.
enum class Fault : std::uint8_t {
  lost,       // closed or reset; at connect: no address answered
  timeout,    // of a stage, or the deadline of the attempt
  malformed,  // no SMTP, or a reply that makes no sense here
  tls,        // not offered, handshake failed, or the certificate isn't good
  auth,       // no credentials may or can be given
  canceled,
};
inline constexpr int kFaultCount = 6;

// What the reply means for one recipient (at rcpt), or for all that have no answer yet.
sdk::Outcome outcome_of(Stage stage, const Reply& reply);

// `end_may_have_left`: some of the final dot may have gone out, so that the server may have taken
// the message. `detail` must be printable.
sdk::Outcome outcome_of(Stage stage, Fault fault, bool end_may_have_left, std::string detail);

}  // namespace postern::smtp
