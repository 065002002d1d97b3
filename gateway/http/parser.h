// http/parser.h: Boost.Beast's incremental parser, filling our own Head and body. It sees a head
// only after framing.h found nothing to doubt.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/framing.h"
#include "http/message.h"

namespace postern::http {

// Of one request. Not thread-safe.
class RequestParser final : private boost::beast::http::basic_parser<true> {
 public:
  enum class Progress : std::uint8_t { more, complete, too_large, malformed };

  // Takes a whole head, adding its fields to `head`; false when the parser disagrees with
  // `framing` about anything that decides where the request ends.
  bool read_head(std::string_view bytes, const Framing& framing, Head& head);

  // What to do with the body: keep up to `limit` bytes of it, or read and drop up to `limit`.
  void keep_body(std::uint64_t limit);
  void drop_body(std::uint64_t limit);

  // Takes from the front of `input` what belongs to the body. `more`: what is left of `input`, if
  // anything, is an incomplete piece that must be presented again, with more behind it.
  Progress read_body(std::string_view& input);

  [[nodiscard]] bool complete() const { return is_done(); }
  // Bytes of the body still to come, when that is known.
  [[nodiscard]] std::optional<std::uint64_t> remaining() const;
  // Bytes of memory that the body holds.
  [[nodiscard]] std::uint64_t held() const { return body_.capacity(); }
  std::string take_body() { return std::move(body_); }

 private:
  using Code = boost::beast::error_code;
  using Text = boost::beast::string_view;

  void on_request_impl(boost::beast::http::verb, Text method, Text target, int version,
                       Code&) override;
  void on_response_impl(int, Text, int, Code&) override {}
  void on_field_impl(boost::beast::http::field, Text name, Text value, Code&) override;
  void on_header_impl(Code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>& content_length, Code&) override;
  std::size_t on_body_impl(Text body, Code& code) override;
  void on_chunk_header_impl(std::uint64_t, Text, Code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text body, Code& code) override;
  void on_finish_impl(Code&) override {}

  Head* head_ = nullptr;  // while read_head runs: trailers are dropped
  std::string_view method_;
  int version_ = 0;
  std::string body_;
  std::uint64_t limit_ = 0;
  std::uint64_t taken_ = 0;
  bool keep_ = false;
};

}  // namespace postern::http
