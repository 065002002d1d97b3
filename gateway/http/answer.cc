#include "http/answer.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/bytes.h"
#include "http/framing.h"

namespace postern::http {
namespace {

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";  // RFC 9112 4: the phrase may be empty, the space stays
  }
}

bool servers_own(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kOwn{"Content-Length", "Transfer-Encoding",
                                                        "Connection", "Date", "X-Request-Id"};
  return std::any_of(kOwn.begin(), kOwn.end(),
                     [&](std::string_view own) { return ascii_iequals(own, name); });
}

void append_number(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  if (std::none_of(value.begin(), value.end(), is_control)) {
    out.append(value);
  } else {
    std::copy_if(value.begin(), value.end(), std::back_inserter(out),
                 [](char c) { return !is_control(c); });
  }
  out.append("\r\n");
}

using Headers = std::vector<std::pair<std::string, std::string>>;

bool names(const Headers& headers, std::string_view name) {
  return std::any_of(headers.begin(), headers.end(),
                     [&](const auto& header) { return ascii_iequals(header.first, name); });
}

}  // namespace

bool status_forbids_body(int status) {
  return status == 204 || status == 304;
}

void AnswerWriter::set_time(UnixMillis now) {
  if (now / 1000 == second_) return;
  second_ = now / 1000;
  date_ = format_mail_date(now);  // "…, 31 Jan 2026 09:30:00 +0000"
  if (const std::size_t zone = date_.rfind(' '); zone != std::string::npos) date_.resize(zone);
  date_ += " GMT";
}

void AnswerWriter::append_head(std::string& out, const Response& response,
                               const AnswerFrame& frame) const {
  const int status = response.status >= 200 && response.status <= 599 ? response.status : 500;
  out.append("HTTP/1.1 ");
  append_number(out, static_cast<std::uint64_t>(status));
  out.append(" ").append(reason_of(status)).append("\r\nDate: ").append(date_);
  out.append("\r\nX-Request-Id: ").append(frame.request_id).append("\r\n");
  if (!status_forbids_body(status)) {
    if (!response.content_type.empty()) append_header(out, "Content-Type", response.content_type);
    out.append("Content-Length: ");
    append_number(out, response.body.size());
    out.append("\r\n");
  }
  bool cache_control = false;
  bool sniffing = false;
  for (const auto& [name, value] : response.headers) {
    if (!is_token(name) || servers_own(name)) continue;
    append_header(out, name, value);
    cache_control = cache_control || ascii_iequals(name, "Cache-Control");
    sniffing = sniffing || ascii_iequals(name, "X-Content-Type-Options");
  }
  if (frame.more_headers != nullptr) {
    for (const auto& [name, value] : *frame.more_headers) {
      if (!is_token(name) || servers_own(name) || names(response.headers, name)) continue;
      append_header(out, name, value);
      cache_control = cache_control || ascii_iequals(name, "Cache-Control");
      sniffing = sniffing || ascii_iequals(name, "X-Content-Type-Options");
    }
  }
  if (!cache_control) out.append("Cache-Control: no-store\r\n");
  if (!sniffing) out.append("X-Content-Type-Options: nosniff\r\n");
  if (frame.connection == AnswerFrame::Connection::close) {
    out.append("Connection: close\r\n");
  } else if (frame.connection == AnswerFrame::Connection::keep_alive) {
    out.append("Connection: keep-alive\r\n");
  }
  out.append("\r\n");
}

}  // namespace postern::http
