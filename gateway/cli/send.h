// cli/send.h: a message from the flags of a command.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace postern::cli {

struct Compose {
  std::string from;
  std::vector<std::string> to;
  std::vector<std::string> cc;
  std::vector<std::string> bcc;
  std::vector<std::string> reply_to;
  std::string subject;
  std::string text;
  std::string html;
  bool has_text = false;
  bool has_html = false;
  std::vector<std::string> attachments;  // files
  std::vector<std::string> headers;      // "Name: value"
  std::vector<std::string> tags;
  std::vector<std::string> metadata;  // "name=value"
  std::string stream;                 // empty: the gateway's default
  std::string provider_id;            // empty: the gateway chooses
};

// The body of POST /v1/send. Reads the attachments. The error (invalid) names the flag; whether
// addresses are good is the gateway's to say.
Result<std::string> compose(const Compose& message);

// By the name's ending; application/octet-stream where it is not known.
std::string_view content_type_of(std::string_view filename);

}  // namespace postern::cli
