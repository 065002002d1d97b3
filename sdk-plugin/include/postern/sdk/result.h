// postern/sdk/result.h: a value or the reason why there is none. Errors are values on both sides
// of the plugin boundary; exceptions stay at the edges of third-party libraries.
#pragma once

#include <type_traits>
#include <utility>
#include <variant>

namespace postern::sdk {

template <typename T, typename E>
class Expected {
 public:
  Expected(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Expected(E error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit by design

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Precondition: ok().
  T& operator*() & { return *std::get_if<0>(&state_); }
  const T& operator*() const& { return *std::get_if<0>(&state_); }
  T&& operator*() && { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() { return std::get_if<0>(&state_); }
  const T* operator->() const { return std::get_if<0>(&state_); }

  // Precondition: !ok().
  E& error() & { return *std::get_if<1>(&state_); }
  const E& error() const& { return *std::get_if<1>(&state_); }
  E&& error() && { return std::move(*std::get_if<1>(&state_)); }

 private:
  static_assert(!std::is_same_v<T, E>);
  std::variant<T, E> state_;
};

// What a call with nothing to return answers on success.
struct Done {};

}  // namespace postern::sdk
