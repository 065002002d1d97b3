#include "http/parser.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <limits>

namespace postern::http {
namespace {

namespace beast = boost::beast::http;

// A body's memory is asked for at once up to here; beyond, it grows as bytes come.
constexpr std::uint64_t kReserve = 1 << 20;

}  // namespace

bool RequestParser::read_head(std::string_view bytes, const Framing& framing, Head& head) {
  header_limit(static_cast<std::uint32_t>(
      std::min<std::size_t>(bytes.size() + 1, std::numeric_limits<std::uint32_t>::max())));
  body_limit(boost::none);  // ours is set later, by the application
  head.headers.reserve(framing.header_count);
  head_ = &head;
  Code code;
  const std::size_t used = put(boost::asio::buffer(bytes.data(), bytes.size()), code);
  head_ = nullptr;
  if (code || used != bytes.size() || !is_header_done()) return false;
  const bool has_body = framing.chunked || framing.content_length > 0;
  if (method_ != framing.method || (version_ == 11) != framing.http11) return false;
  if (chunked() != framing.chunked || is_done() == has_body) return false;
  if (!framing.chunked && content_length().value_or(0) != framing.content_length) return false;
  eager(true);
  return true;
}

void RequestParser::keep_body(std::uint64_t limit) {
  limit_ = limit;
  keep_ = true;
}

void RequestParser::drop_body(std::uint64_t limit) {
  limit_ = limit;
  taken_ = 0;
  keep_ = false;
  body_ = {};
}

RequestParser::Progress RequestParser::read_body(std::string_view& input) {
  if (is_done()) return Progress::complete;
  if (input.empty()) return Progress::more;
  Code code;
  const std::size_t used = put(boost::asio::buffer(input.data(), input.size()), code);
  input.remove_prefix(used);
  if (code == beast::error::need_more) return Progress::more;
  if (code == beast::error::body_limit) return Progress::too_large;
  if (code) return Progress::malformed;
  return is_done() ? Progress::complete : Progress::more;
}

std::optional<std::uint64_t> RequestParser::remaining() const {
  const auto left = content_length_remaining();
  return left ? std::optional<std::uint64_t>(*left) : std::nullopt;
}

void RequestParser::on_request_impl(beast::verb, Text method, Text, int version, Code&) {
  method_ = {method.data(), method.size()};
  version_ = version;
}

void RequestParser::on_field_impl(beast::field, Text name, Text value, Code&) {
  if (head_ == nullptr) return;
  head_->headers.push_back({{name.data(), name.size()}, {value.data(), value.size()}});
}

void RequestParser::on_body_init_impl(const boost::optional<std::uint64_t>& content_length, Code&) {
  if (keep_ && content_length) body_.reserve(std::min(*content_length, kReserve));
}

std::size_t RequestParser::on_body_impl(Text body, Code& code) {
  if (body.size() > limit_ - taken_) {
    code = beast::error::body_limit;
    return 0;
  }
  taken_ += body.size();
  if (keep_) body_.append(body.data(), body.size());
  return body.size();
}

std::size_t RequestParser::on_chunk_body_impl(std::uint64_t, Text body, Code& code) {
  return on_body_impl(body, code);
}

}  // namespace postern::http
