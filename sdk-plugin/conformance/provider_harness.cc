#include "provider_harness.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <stdexcept>

namespace postern::conformance {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::int64_t milliseconds_of(const std::string& text) {
  std::size_t used = 0;
  const std::int64_t number = std::stoll(text, &used);
  const std::string unit = text.substr(used);
  if (unit == "ms") return number;
  if (unit == "s") return number * 1'000;
  if (unit == "m") return number * 60'000;
  if (unit == "h") return number * 3'600'000;
  if (unit == "d") return number * 86'400'000;
  throw std::runtime_error("no duration: " + text);
}

sdk::Settings::Value typed(const sdk::Field& field, const std::string& text) {
  switch (field.type) {
    case sdk::FieldType::integer: {
      const std::int64_t value = std::stoll(text);
      if (value < field.min || value > field.max) throw std::runtime_error("range: " + field.name);
      return value;
    }
    case sdk::FieldType::duration:
      return milliseconds_of(text);
    case sdk::FieldType::boolean:
      return text == "true";
    case sdk::FieldType::choice:
      if (std::find(field.choices.begin(), field.choices.end(), text) == field.choices.end()) {
        throw std::runtime_error("no choice of " + field.name + ": " + text);
      }
      return text;
    case sdk::FieldType::text_list:
      return std::vector<std::string>{text};
    case sdk::FieldType::text:
    case sdk::FieldType::path:
      break;
  }
  return text;
}

std::string next_id() {
  static std::atomic<std::uint32_t> counter{0};
  std::string tail = std::to_string(++counter);
  return "01890000-0000-7000-8000-" + std::string(12 - tail.size(), '0') + tail;
}

}  // namespace

const sdk::PluginInfo& load_plugin(const std::string& path) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(dlerror());
  void* const symbol = dlsym(library, sdk::kEntryPoint);
  if (symbol == nullptr) throw std::runtime_error(path + " has no entry point");
  const auto* info = reinterpret_cast<const sdk::PluginInfo* (*)()>(symbol)();
  if (info == nullptr) throw std::runtime_error(path + " gave no description of itself");
  return *info;
}

void RecordingLogger::log(sdk::LogLevel /*level*/, std::string_view message,
                          const std::vector<std::pair<std::string_view, std::string>>& fields) {
  const std::lock_guard lock{mutex_};
  text_ += message;
  for (const auto& [name, value] : fields) {
    text_ += ' ';
    text_ += name;
    text_ += '=';
    text_ += value;
  }
  text_ += '\n';
}

std::string RecordingLogger::text() const {
  const std::lock_guard lock{mutex_};
  return text_;
}

sdk::UnixMillis SystemClock::now() const {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

steady_clock::time_point SystemClock::monotonic() const {
  return steady_clock::now();
}

void NoHttp::start(sdk::HttpRequest /*request*/, std::stop_token /*cancel*/,
                   std::function<void(sdk::HttpResponse)> done) {
  sdk::HttpResponse response;
  response.failure = sdk::HttpFailure::not_sent;
  response.error = "there is no HTTP here";
  done(std::move(response));
}

sdk::Settings complete(const sdk::Schema& schema, const Written& written) {
  sdk::Settings settings;
  for (const sdk::Field& field : schema) {
    if (!field.default_value.empty()) settings.set(field.name, typed(field, field.default_value));
  }
  for (const auto& [name, value] : written) {
    const auto field = std::find_if(schema.begin(), schema.end(),
                                    [&, &key = name](const auto& f) { return f.name == key; });
    if (field == schema.end()) throw std::runtime_error("no such setting: " + name);
    settings.set(name, typed(*field, value));
  }
  return settings;
}

std::shared_ptr<sdk::OutboundMessage> make_message(std::vector<std::string> recipients) {
  return make_message(std::move(recipients), "Hello from the tests.\r\n");
}

std::shared_ptr<sdk::OutboundMessage> make_message(std::vector<std::string> recipients,
                                                   std::string_view body) {
  auto message = std::make_shared<sdk::OutboundMessage>();
  message->id = next_id();
  message->organization = "tests";
  message->stream = "transactional";
  message->envelope_sender = "sender@example.com";
  message->from = {"", message->envelope_sender};
  message->recipients = std::move(recipients);
  message->message_id_header = "<" + message->id + "@example.com>";
  message->subject = "A test";
  message->text = body;
  std::string mime = "From: sender@example.com\r\nSubject: A test\r\nMessage-ID: ";
  mime += message->message_id_header;
  mime += "\r\n\r\n";
  mime += body;
  for (const std::string& recipient : message->recipients) message->to.push_back({"", recipient});
  message->mime = std::make_shared<const std::string>(std::move(mime));
  return message;
}

sdk::Attempt make_attempt(milliseconds until_deadline, std::stop_token cancel) {
  sdk::Attempt attempt;
  attempt.id = next_id();
  attempt.deadline = steady_clock::now() + until_deadline;
  attempt.cancel = std::move(cancel);
  return attempt;
}

std::pair<std::shared_ptr<Collected>, sdk::Completion> Collected::make() {
  auto collected = std::make_shared<Collected>();
  return {collected, [collected](std::vector<sdk::Outcome> outcomes) {
            const std::lock_guard lock{collected->mutex_};
            if (collected->calls_++ == 0) {
              collected->outcomes_ = std::move(outcomes);
              collected->answered_at_ = steady_clock::now();
            }
            collected->changed_.notify_all();
          }};
}

std::optional<std::vector<sdk::Outcome>> Collected::wait(milliseconds timeout) {
  std::unique_lock lock{mutex_};
  if (!changed_.wait_for(lock, timeout, [&] { return calls_ > 0; })) return std::nullopt;
  return outcomes_;
}

int Collected::calls() const {
  const std::lock_guard lock{mutex_};
  return calls_;
}

steady_clock::time_point Collected::answered_at() const {
  const std::lock_guard lock{mutex_};
  return answered_at_;
}

std::vector<sdk::Outcome> send_and_wait(sdk::ProviderAdapter& adapter,
                                        std::shared_ptr<const sdk::OutboundMessage> message,
                                        milliseconds until_deadline) {
  const std::size_t recipients = message->recipients.size();
  auto [collected, done] = Collected::make();
  adapter.send(std::move(message), make_attempt(until_deadline), std::move(done));
  auto outcomes = collected->wait(until_deadline + milliseconds{5'000});
  EXPECT_TRUE(outcomes.has_value()) << "send() was never answered";
  if (!outcomes) return std::vector<sdk::Outcome>(recipients);
  EXPECT_EQ(outcomes->size(), recipients);
  outcomes->resize(recipients);
  return *outcomes;
}

sdk::Validation validate_and_wait(sdk::ProviderAdapter& adapter, milliseconds until_deadline) {
  auto answer = std::make_shared<std::promise<sdk::Validation>>();
  auto future = answer->get_future();
  adapter.validate(steady_clock::now() + until_deadline,
                   [answer](sdk::Validation validation) { answer->set_value(validation); });
  if (future.wait_for(until_deadline + milliseconds{5'000}) != std::future_status::ready) {
    ADD_FAILURE() << "validate() was never answered";
    return {};
  }
  return future.get();
}

}  // namespace postern::conformance
