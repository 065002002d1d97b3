#include "api/messages.h"

#include "api/message_json.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "resources/codec.h"

namespace postern::api {

void GetMessage::operator()(Call call) {
  const Answer answer = call.answer;
  const Error none{ErrorKind::not_found, "No such message", {}, {}};
  const std::string id = ascii_lower(call.params.front().second);
  if (!is_uuid(id)) return answer.problem(none);
  const bool queued = readers_.run(
      [this, answer, none, id, organization = call.principal->organization_id()] {
        const auto found = storage_.message(organization, id);
        if (!found) {
          logger_.log(sdk::LogLevel::error, "a message can't be read",
                      {{"request_id", answer.request_id()}, {"error", found.error().message}});
          return answer.problem(resources::to_error(found.error()));
        }
        if (!found->has_value()) return answer.problem(none);
        answer.json(200, message_answer(**found));
      });
  if (!queued) {
    answer.problem({ErrorKind::unavailable, "The gateway is busy; try again", {}, std::chrono::seconds{1}});
  }
}

}  // namespace postern::api
