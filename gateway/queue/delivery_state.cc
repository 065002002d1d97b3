#include "queue/delivery_state.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>

namespace postern::queue {

namespace bj = boost::json;

std::string encode(const DeliveryState& state) {
  // A new delivery has a size and nothing else; this is written for every message.
  if (!state.ambiguous && !state.held && state.tried.empty()) {
    return "{\"body_bytes\":" + std::to_string(state.body_bytes) + "}";
  }
  bj::array tried;
  for (const auto& account : state.tried) tried.emplace_back(account);
  return bj::serialize(bj::object{{"body_bytes", state.body_bytes},
                                  {"ambiguous", state.ambiguous},
                                  {"held", state.held},
                                  {"tried", std::move(tried)}});
}

Result<DeliveryState> decode_delivery_state(std::string_view payload) {
  try {
    const bj::value value = bj::parse(payload);
    const bj::object& object = value.as_object();
    DeliveryState state;
    state.body_bytes = object.at("body_bytes").to_number<std::uint64_t>();
    if (const auto* found = object.if_contains("ambiguous")) state.ambiguous = found->as_bool();
    if (const auto* found = object.if_contains("held")) state.held = found->as_bool();
    if (const auto* found = object.if_contains("tried")) {
      state.tried = bj::value_to<std::vector<std::string>>(*found);
    }
    return state;
  } catch (const std::exception& e) {
    return Error{ErrorKind::internal,
                 "the state of a delivery can't be read: " + std::string{e.what()}, {}, {}};
  }
}

}  // namespace postern::queue
