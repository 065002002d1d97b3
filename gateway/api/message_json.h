// api/message_json.h: messages as the API shows them. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "postern/sdk/storage.h"

namespace postern::api {

std::string_view name_of(sdk::MessageStatus status);  // "queued"
std::string_view name_of(sdk::EventType type);        // "QUEUED"

// {"data": Message}
std::string message_answer(const sdk::MessageDetail& detail);

}  // namespace postern::api
