#include "cli/send.h"

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <ostream>
#include <thread>

#include "base/bytes.h"
#include "base/clock.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/environment.h"
#include "cli/output.h"

namespace postern::cli {
namespace {

struct SendOptions {
  std::string config;
  std::string url;
  std::string key;
  Compose message;
  std::string text_file;
  std::string html_file;
  bool wait = false;
  std::string timeout = "60s";
  bool json = false;
};

Error invalid(std::string message) {
  return {ErrorKind::invalid, std::move(message), {}, {}};
}

Result<std::string> read_stream(std::istream& in, const std::string& what) {
  std::string text{std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
  if (in.bad()) return invalid(what + " can't be read");
  return text;
}

Result<std::string> read_file(const std::string& file, const std::string& flag) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) {
    return invalid(flag + ": " + file + " is a directory");
  }
  std::ifstream in{file, std::ios::binary};
  if (!in) return invalid(flag + ": " + file + " can't be opened");
  return read_stream(in, flag + ": " + file);
}

// A file, or standard input for "-".
Result<std::string> read_part(const std::string& file, const std::string& flag, const Io& io) {
  return file == "-" ? read_stream(io.in, "standard input") : read_file(file, flag);
}

// "127.0.0.1:8025" of the listener, where a listener on all addresses is asked at the loopback one.
Result<std::string> url_of(const config::Config& config) {
  const auto& api = config.server.api;
  if (api.port == 0) {
    return invalid(config.file +
                   ": server.api has no fixed port: say --url with the one that "
                   "'postern serve' printed");
  }
  std::string address = api.address;
  if (address == "0.0.0.0") address = "127.0.0.1";
  if (address == "::") address = "::1";
  if (address.find(':') != std::string::npos) address = "[" + address + "]";
  return "http://" + address + ":" + std::to_string(api.port);
}

boost::json::value parse_or_null(const std::string& text) {
  boost::json::error_code bad;
  auto value = boost::json::parse(text, bad);
  return bad ? boost::json::value{} : value;
}

std::string text_at(const boost::json::value& value, std::string_view name) {
  const auto* object = value.if_object();
  const auto* member = object == nullptr ? nullptr : object->if_contains(name);
  const auto* text = member == nullptr ? nullptr : member->if_string();
  return text == nullptr ? std::string{} : std::string{text->data(), text->size()};
}
const boost::json::value* member_of(const boost::json::value* value, std::string_view name) {
  const auto* object = value == nullptr ? nullptr : value->if_object();
  return object == nullptr ? nullptr : object->if_contains(name);
}

// What the gateway says is wrong, for a person.
int refused(const Io& io, const Answer& answer) {
  const boost::json::value body = parse_or_null(answer.body);
  const auto* error = member_of(&body, "error");
  if (error == nullptr) {
    io.err << "postern: the answer is " << answer.status
           << ", and not one of a gateway's API: " << printable(answer.body.substr(0, 200)) << '\n';
    return kFailed;
  }
  io.err << "postern: " << answer.status << ' ' << printable(text_at(*error, "code")) << ": "
         << printable(text_at(*error, "message")) << '\n';
  if (const auto* issues = member_of(member_of(error, "details"), "issues");
      issues != nullptr && issues->is_array()) {
    for (const auto& issue : issues->get_array()) {
      const std::string path = text_at(issue, "path");
      io.err << "  " << printable(path) << (path.empty() ? "" : ": ")
             << printable(text_at(issue, "message")) << " (" << printable(text_at(issue, "code"))
             << ")\n";
    }
  }
  io.err << "  request " << printable(text_at(*error, "request_id")) << '\n';
  return kFailed;
}

int outcome_of(const std::string& status) {
  return status == "sent" || status == "delivered" ? kDone : kFailed;
}

bool is_unfinished(const std::string& status) {
  return status == "queued" || status == "scheduled" || status == "sending" || status == "deferred";
}

void print_status(const Io& io, const boost::json::value& message) {
  io.out << "Message " << printable(text_at(message, "id")) << " is "
         << printable(text_at(message, "status")) << '\n';
  const auto* recipients = member_of(&message, "recipients");
  if (recipients == nullptr || !recipients->is_array()) return;
  Table table{{"RECIPIENT", "STATUS", "CODE", "DETAIL"}};
  for (const auto& each : recipients->get_array()) {
    table.add({text_at(each, "address"), text_at(each, "status"), text_at(each, "enhancedStatus"),
               text_at(each, "detail")});
  }
  table.print(io.out);
}

// Asks until the message is final.
int wait_for(const Client& client, const std::string& id, std::chrono::milliseconds timeout,
             bool json, const Io& io) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  auto pause = std::chrono::milliseconds{100};
  for (;;) {
    const auto answer = client.get("/v1/messages/" + id);
    if (!answer) return fail(io, answer.error());
    if (answer->status != 200) return refused(io, *answer);
    const boost::json::value body = parse_or_null(answer->body);
    const auto* message = member_of(&body, "data");
    const std::string status = message == nullptr ? std::string{} : text_at(*message, "status");
    const bool late = std::chrono::steady_clock::now() + pause > deadline;
    if (!is_unfinished(status) || late) {
      if (json) {
        print_json(io.out, body);
      } else if (message != nullptr) {
        print_status(io, *message);
      }
      if (is_unfinished(status)) {
        io.err << "postern: the message is not final after " << format_duration(timeout)
               << "; it stays queued\n";
      }
      return outcome_of(status);
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds{1000});
  }
}

int send(SendOptions options, const Io& io) {
  if (options.key.empty()) {
    io.err << "postern: no key: say --key KEY or set POSTERN_KEY\nSee 'postern send --help'.\n";
    return kWrongUsage;
  }
  if (options.url.empty()) {
    const auto file = config_file_or_default(options.config);
    if (!file) return fail(io, file.error());
    const auto config = load_config(*file);
    if (!config) return fail(io, config.error());
    auto url = url_of(*config);
    if (!url) return fail(io, url.error());
    options.url = std::move(*url);
  }
  Compose& message = options.message;
  if (!options.text_file.empty()) {
    auto text = read_part(options.text_file, "--text-file", io);
    if (!text) return fail(io, text.error());
    message.text = std::move(*text);
    message.has_text = true;
  }
  if (!options.html_file.empty()) {
    auto html = read_part(options.html_file, "--html-file", io);
    if (!html) return fail(io, html.error());
    message.html = std::move(*html);
    message.has_html = true;
  }
  const auto body = compose(message);
  if (!body) return fail(io, body.error());

  const Client client{options.url, options.key};
  const auto answer = client.post("/v1/send", *body);
  if (!answer) return fail(io, answer.error());
  if (answer->status < 200 || answer->status > 299) return refused(io, *answer);
  const boost::json::value receipt = parse_or_null(answer->body);
  if (!receipt.is_object()) return refused(io, *answer);
  const std::string id = text_at(receipt, "messageId");
  if (options.wait && !id.empty()) {
    if (!options.json) io.err << "Accepted as " << printable(id) << '\n';
    return wait_for(client, id, *parse_duration(options.timeout), options.json, io);
  }
  print_json(io.out, receipt);
  return kDone;
}

}  // namespace

std::string_view content_type_of(std::string_view filename) {
  struct Type {
    std::string_view ending;
    std::string_view type;
  };
  static constexpr std::array kTypes{
      Type{"txt", "text/plain"},        Type{"html", "text/html"},
      Type{"htm", "text/html"},         Type{"csv", "text/csv"},
      Type{"ics", "text/calendar"},     Type{"pdf", "application/pdf"},
      Type{"json", "application/json"}, Type{"xml", "application/xml"},
      Type{"zip", "application/zip"},   Type{"gz", "application/gzip"},
      Type{"png", "image/png"},         Type{"jpg", "image/jpeg"},
      Type{"jpeg", "image/jpeg"},       Type{"gif", "image/gif"},
      Type{"webp", "image/webp"},       Type{"svg", "image/svg+xml"},
  };
  const auto dot = filename.rfind('.');
  const std::string_view ending =
      dot == std::string_view::npos ? std::string_view{} : filename.substr(dot + 1);
  for (const auto& each : kTypes) {
    if (ascii_iequals(each.ending, ending)) return each.type;
  }
  return "application/octet-stream";
}

Result<std::string> compose(const Compose& message) {
  boost::json::object body{{"from", message.from}, {"to", json_list(message.to)}};
  if (!message.cc.empty()) body["cc"] = json_list(message.cc);
  if (!message.bcc.empty()) body["bcc"] = json_list(message.bcc);
  if (!message.reply_to.empty()) body["replyTo"] = json_list(message.reply_to);
  body["subject"] = message.subject;
  if (message.has_text) body["text"] = message.text;
  if (message.has_html) body["html"] = message.html;

  boost::json::array attachments;
  for (const auto& file : message.attachments) {
    const auto content = read_file(file, "--attach");
    if (!content) return content.error();
    const std::string name = std::filesystem::path{file}.filename().string();
    attachments.push_back(boost::json::object{{"filename", name},
                                              {"content", base64_encode(*content)},
                                              {"contentType", content_type_of(name)}});
  }
  if (!attachments.empty()) body["attachments"] = std::move(attachments);

  boost::json::object headers;
  for (const auto& line : message.headers) {
    const auto colon = line.find(':');
    const std::string name{trim(std::string_view{line}.substr(0, colon))};
    if (colon == std::string::npos || name.empty()) {
      return invalid("--header '" + printable(line) + "': write 'Name: value'");
    }
    if (headers.contains(name)) return invalid("--header '" + name + "' is given twice");
    headers[name] = std::string{trim(std::string_view{line}.substr(colon + 1))};
  }
  if (!headers.empty()) body["headers"] = std::move(headers);
  if (!message.tags.empty()) body["tags"] = json_list(message.tags);

  boost::json::object metadata;
  for (const auto& pair : message.metadata) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return invalid("--metadata '" + printable(pair) + "': write name=value");
    }
    const std::string name = pair.substr(0, equals);
    if (metadata.contains(name)) return invalid("--metadata '" + name + "' is given twice");
    metadata[name] = pair.substr(equals + 1);
  }
  if (!metadata.empty()) body["metadata"] = std::move(metadata);
  if (!message.stream.empty()) body["stream"] = message.stream;
  if (!message.provider_id.empty()) body["providerId"] = message.provider_id;

  std::string json = boost::json::serialize(body);
  if (!is_utf8(json)) return invalid("the message is not UTF-8 throughout; attach other files");
  return json;
}

void add_send(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("send", "Send a message through a running gateway");
  auto options = std::make_shared<SendOptions>();
  Compose& message = options->message;
  add_config_option(*command, options->config);
  command
      ->add_option("--url", options->url,
                   "The gateway's API; default: the listener in the configuration")
      ->type_name("URL");
  command
      ->add_option("--key", options->key,
                   "An API key with SEND; better given as POSTERN_KEY, which other users can't see")
      ->type_name("KEY")
      ->envname("POSTERN_KEY");
  const auto many = [command](const char* name, std::vector<std::string>& to, const char* what,
                              const char* type) {
    return command->add_option(name, to, what)->type_name(type)->allow_extra_args(false);
  };
  command->add_option("--from", message.from, "The sender: a@b or 'Name <a@b>'")
      ->type_name("ADDRESS")
      ->required();
  many("--to", message.to, "A recipient; may be given more than once, as --cc to --metadata may",
       "ADDRESS")
      ->required();
  many("--cc", message.cc, "A recipient of a copy", "ADDRESS");
  many("--bcc", message.bcc, "A recipient whom the others don't see", "ADDRESS");
  many("--reply-to", message.reply_to, "Where answers go", "ADDRESS");
  command->add_option("--subject", message.subject, "The subject")->type_name("TEXT")->required();
  auto* text =
      command->add_option("--text", message.text, "The message as text")->type_name("TEXT");
  auto* text_file =
      command
          ->add_option("--text-file", options->text_file, "The same from a file; -: standard input")
          ->type_name("FILE")
          ->excludes(text);
  auto* html =
      command->add_option("--html", message.html, "The message as HTML")->type_name("HTML");
  auto* html_file =
      command
          ->add_option("--html-file", options->html_file, "The same from a file; -: standard input")
          ->type_name("FILE")
          ->excludes(html);
  many("--attach", message.attachments, "A file to attach", "FILE");
  many("--header", message.headers, "A header: 'X-Name: value'", "HEADER");
  many("--tag", message.tags, "A tag", "TAG");
  many("--metadata", message.metadata, "What comes back in events: name=value", "PAIR");
  command->add_option("--stream", message.stream, "Receipts go before newsletters")
      ->check(CLI::IsMember({"transactional", "bulk"}));
  command->add_option("--provider", message.provider_id, "Force one provider account")
      ->type_name("ID");
  auto* wait = command->add_flag(
      "--wait", options->wait, "Wait until it is final and show its status (needs MESSAGES_READ)");
  command->add_option("--timeout", options->timeout, "How long --wait waits")
      ->check(kDuration)
      ->needs(wait)
      ->capture_default_str();
  command->add_flag("--json", options->json, "With --wait: print the message as JSON");
  command->footer(
      "Prints the gateway's answer as JSON.\n\n"
      "Example:\n"
      "  export POSTERN_KEY=$(postern keys create --organization demo --name me \\\n"
      "      --permissions SEND,MESSAGES_READ)\n"
      "  postern send --from me@example.com --to you@example.net --subject Hello \\\n"
      "      --text 'It works.' --wait\n\n"
      "Exit codes: 0 accepted (with --wait: sent or delivered), 1 refused or not reached (with\n"
      "--wait also: bounced, failed, canceled, or not final in time), 2 wrong usage.");
  session.on(*command, [=, &session] {
    options->message.has_text = text->count() > 0;
    options->message.has_html = html->count() > 0;
    if (!options->message.has_text && !options->message.has_html && text_file->count() == 0 &&
        html_file->count() == 0) {
      session.io().err << "postern: the message is empty: say --text, --text-file, --html or "
                          "--html-file\nSee 'postern send --help'.\n";
      return kWrongUsage;
    }
    if (options->text_file == "-" && options->html_file == "-") {
      session.io().err << "postern: standard input can't be both --text-file and --html-file\n";
      return kWrongUsage;
    }
    return send(*options, session.io());
  });
}

}  // namespace postern::cli
