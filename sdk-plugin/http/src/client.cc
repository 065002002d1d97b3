#include "postern/sdk_http/client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace postern::sdk_http {
namespace {

using Clock = std::chrono::steady_clock;
using sdk::HttpFailure;
using sdk::HttpRequest;
using sdk::HttpResponse;
using Done = std::function<void(HttpResponse)>;

constexpr std::size_t kMostHeaderBytes = 256 * 1024;
constexpr std::size_t kIdleHandles = 64;
// Shorter than what servers and balancers commonly keep, so that a reused connection is rarely one
// that is being closed.
constexpr long kMostIdleSeconds = 30;

bool is_token(std::string_view text) {  // RFC 9110 5.6.2
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
  });
}

bool is_field_value(std::string_view text) {  // RFC 9110 5.5: no CR, LF or NUL
  return text.find_first_of(std::string_view{"\r\n\0", 3}) == std::string_view::npos;
}

std::string lower(std::string_view text) {
  std::string out{text};
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return out;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

struct EasyEnd {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
using Easy = std::unique_ptr<CURL, EasyEnd>;
struct ListEnd {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "http client");
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

struct Arrival {
  HttpRequest request;
  std::stop_token cancel;
  Done done;
};

// What other threads leave for the loop. Stop callbacks share it and may outlive the client.
class Inbox {
 public:
  // False when the loop has ended; `arrival` is then untouched.
  bool put(Arrival& arrival) {
    const std::lock_guard lock(mutex_);
    if (ended_) return false;
    arrivals_.push_back(std::move(arrival));
    wake();
    return true;
  }
  void cancel(std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    cancels_.push_back(id);
    wake();
  }
  void stop() {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake();
  }
  // True once stop() was called.
  bool take(std::vector<Arrival>& arrivals, std::vector<std::uint64_t>& cancels) {
    const std::lock_guard lock(mutex_);
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(event_.get(), &count, sizeof count);
    awake_ = false;
    arrivals.swap(arrivals_);
    cancels.swap(cancels_);
    ended_ = stopping_;
    return stopping_;
  }
  [[nodiscard]] int fd() const { return event_.get(); }

 private:
  void wake() {
    if (std::exchange(awake_, true)) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto put = ::write(event_.get(), &one, sizeof one);
  }

  std::mutex mutex_;
  Descriptor event_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  std::vector<Arrival> arrivals_;
  std::vector<std::uint64_t> cancels_;
  bool awake_ = false;
  bool stopping_ = false;
  bool ended_ = false;
};

struct CancelById {
  std::shared_ptr<Inbox> inbox;
  std::uint64_t id;
  void operator()() const { inbox->cancel(id); }
};

struct Exchange {
  std::uint64_t id = 0;
  HttpRequest request;
  Done done;
  std::optional<std::stop_callback<CancelById>> on_cancel;
  Easy easy;  // null: waits for its pool
  std::unique_ptr<curl_slist, ListEnd> headers;
  std::array<char, CURL_ERROR_SIZE> error{};
  std::size_t body_read = 0;
  std::size_t header_bytes = 0;
  bool head_complete = false;
  bool begun = false;  // a connection stood, and the request went on its way
  std::string too_large;
  HttpResponse response;
};

struct Pool {
  std::uint32_t active = 0;
  std::deque<std::uint64_t> waiting;
};

std::size_t read_body(char* to, std::size_t size, std::size_t count, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  const std::string& body = exchange.request.body;
  const std::size_t bytes = std::min(size * count, body.size() - exchange.body_read);
  std::memcpy(to, body.data() + exchange.body_read, bytes);
  exchange.body_read += bytes;
  return bytes;
}

std::size_t write_body(char* from, std::size_t size, std::size_t count, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  const std::size_t bytes = size * count;
  if (bytes > exchange.request.max_response_bytes - exchange.response.body.size()) {
    exchange.too_large = "the response is larger than " +
                         std::to_string(exchange.request.max_response_bytes) + " bytes";
    return CURL_WRITEFUNC_ERROR;
  }
  exchange.response.body.append(from, bytes);
  return bytes;
}

// Called when name, connection, proxy and TLS are ready, right before the request is written; on a
// reused connection too. So whatever fails before it has sent nothing, also where libcurl tries
// again.
int before_request(void* context, char*, char*, int, int) {
  static_cast<Exchange*>(context)->begun = true;
  return CURL_PREREQFUNC_OK;
}

std::size_t read_header(char* from, std::size_t size, std::size_t count, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  const std::string_view line{from, size * count};
  exchange.header_bytes += line.size();
  if (exchange.header_bytes > kMostHeaderBytes) {
    exchange.too_large = "the headers of the response are larger than " +
                         std::to_string(kMostHeaderBytes) + " bytes";
    return CURL_WRITEFUNC_ERROR;
  }
  if (line.starts_with("HTTP/")) {
    exchange.response.headers.clear();  // an interim response's don't count
    exchange.head_complete = false;
  } else if (line == "\r\n" || line == "\n") {
    exchange.head_complete = true;
  } else if (const auto colon = line.find(':'); colon != std::string_view::npos) {
    exchange.response.headers.emplace_back(lower(trim(line.substr(0, colon))),
                                           trim(line.substr(colon + 1)));
  }
  return line.size();
}

// curl_easy_setopt can't fail for these options but for lack of memory.
template <typename T>
void set(CURL* easy, CURLoption option, T value) {
  if (curl_easy_setopt(easy, option, value) == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
}

// What can't be sent at all, in words; empty: nothing.
std::string unfit(const HttpRequest& request) {
  if (!is_token(request.method)) return "the method is no token";
  if (!is_field_value(request.url) || request.url.empty()) return "the URL is not well-formed";
  for (const auto& [name, value] : request.headers) {
    if (!is_token(name)) return "a header's name is no token";
    if (!is_field_value(value)) return "the header " + name + " holds a line break or NUL";
  }
  return {};
}

}  // namespace

class Client::Loop {
 public:
  explicit Loop(ClientOptions options)
      : options_(std::move(options)), inbox_(std::make_shared<Inbox>()) {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    multi_.reset(curl_multi_init());
    if (!multi_) throw std::runtime_error("http client: libcurl can't be initialized");
    curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &Loop::on_socket);
    curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &Loop::on_timer);
    curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS,
                      static_cast<long>(options_.idle_connections));
    curl_multi_setopt(multi_.get(), CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    watch(inbox_->fd(), EPOLLIN, EPOLL_CTL_ADD);
    thread_ = std::thread([this] { run(); });
  }
  ~Loop() {
    inbox_->stop();
    thread_.join();
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  bool put(Arrival& arrival) { return inbox_->put(arrival); }

 private:
  struct MultiEnd {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
  };

  static int on_socket(CURL*, curl_socket_t fd, int what, void* context, void* known) {
    auto& loop = *static_cast<Loop*>(context);
    if (what == CURL_POLL_REMOVE) {
      ::epoll_ctl(loop.epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
      return 0;
    }
    std::uint32_t events = 0;
    if ((what & CURL_POLL_IN) != 0) events |= EPOLLIN;
    if ((what & CURL_POLL_OUT) != 0) events |= EPOLLOUT;
    loop.watch(fd, events, known == nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD);
    curl_multi_assign(loop.multi_.get(), fd, &loop);  // anything but null: is watched
    return 0;
  }
  static int on_timer(CURLM*, long milliseconds, void* context) {
    auto& loop = *static_cast<Loop*>(context);
    if (milliseconds < 0) {
      loop.timer_.reset();
    } else {
      loop.timer_ = Clock::now() + std::chrono::milliseconds{milliseconds};
    }
    return 0;
  }

  void watch(int fd, std::uint32_t events, int operation) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_.get(), operation, fd, &event) == 0) return;
    // A number that was closed and used again meanwhile.
    ::epoll_ctl(epoll_.get(), operation == EPOLL_CTL_ADD ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd,
                &event);
  }

  void run() {
    // OpenSSL writes without MSG_NOSIGNAL, and libcurl leaves SIGPIPE to us. Others are the
    // process's to handle, not this thread's.
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);

    std::vector<Arrival> arrivals;
    std::vector<std::uint64_t> cancels;
    std::array<epoll_event, 64> events{};
    while (true) {
      arrivals.clear();
      cancels.clear();
      const bool stop = inbox_->take(arrivals, cancels);
      for (Arrival& arrival : arrivals) admit(std::move(arrival));
      for (const std::uint64_t id : cancels) cancel(id, "was canceled");
      if (stop) break;
      fill_pools();

      const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                     time_to_wait());
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.fd == inbox_->fd()) continue;  // taken at the top
        int what = 0;
        if ((event.events & EPOLLIN) != 0) what |= CURL_CSELECT_IN;
        if ((event.events & EPOLLOUT) != 0) what |= CURL_CSELECT_OUT;
        if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) what |= CURL_CSELECT_ERR;
        act(event.data.fd, what);
      }
      if (timer_ && *timer_ <= Clock::now()) {
        timer_.reset();
        act(CURL_SOCKET_TIMEOUT, 0);
      }
      reap();
      expire();
    }
    while (!exchanges_.empty()) cancel(exchanges_.begin()->first, "the client is ending");
    // Here, because the end of a TLS connection writes as well.
    idle_.clear();
    multi_.reset();
  }

  void act(curl_socket_t fd, int what) {
    int running = 0;
    curl_multi_socket_action(multi_.get(), fd, what, &running);
  }

  [[nodiscard]] int time_to_wait() const {
    std::optional<Clock::time_point> first = timer_;
    if (!deadlines_.empty() && (!first || deadlines_.begin()->first < *first)) {
      first = deadlines_.begin()->first;
    }
    if (!first) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*first - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
  }

  void admit(Arrival arrival) {
    auto made = std::make_unique<Exchange>();
    Exchange& exchange = *made;
    exchange.id = ++last_id_;
    exchange.request = std::move(arrival.request);
    exchange.done = std::move(arrival.done);
    exchanges_.emplace(exchange.id, std::move(made));
    deadlines_.emplace(exchange.request.deadline, exchange.id);
    if (const std::string why = unfit(exchange.request); !why.empty()) {
      return finish(exchange, HttpFailure::not_sent, why);
    }
    if (exchange.request.deadline <= Clock::now()) {
      return finish(exchange, HttpFailure::not_sent, "the deadline has passed");
    }
    if (arrival.cancel.stop_requested()) {
      return finish(exchange, HttpFailure::canceled, "was canceled");
    }
    if (arrival.cancel.stop_possible()) {
      exchange.on_cancel.emplace(std::move(arrival.cancel), CancelById{inbox_, exchange.id});
    }
    if (exchange.request.max_per_pool == 0) return begin(exchange);
    const std::string pool = exchange.request.pool;
    pools_[pool].waiting.push_back(exchange.id);
    freed_.insert(pool);
  }

  // Starts what waits in pools that have room. A loop, not a chain of calls: what can't even be
  // started makes room at once.
  void fill_pools() {
    while (!freed_.empty()) {
      const std::string name = std::move(freed_.extract(freed_.begin()).value());
      const auto found = pools_.find(name);
      if (found == pools_.end()) continue;
      while (!found->second.waiting.empty()) {
        const auto next = exchanges_.find(found->second.waiting.front());
        if (next == exchanges_.end()) {  // canceled or expired meanwhile
          found->second.waiting.pop_front();
          continue;
        }
        if (found->second.active >= next->second->request.max_per_pool) break;
        found->second.waiting.pop_front();
        ++found->second.active;
        begin(*next->second);
      }
      if (found->second.waiting.empty() && found->second.active == 0) pools_.erase(found);
    }
  }

  void begin(Exchange& exchange) {
    if (idle_.empty()) {
      exchange.easy.reset(curl_easy_init());
    } else {
      exchange.easy = std::move(idle_.back());
      idle_.pop_back();
    }
    if (!exchange.easy) return finish(exchange, HttpFailure::not_sent, "out of memory", true);
    prepare(exchange);
    const CURLMcode added = curl_multi_add_handle(multi_.get(), exchange.easy.get());
    if (added != CURLM_OK) {
      exchange.easy.reset();
      finish(exchange, HttpFailure::not_sent, curl_multi_strerror(added), true);
    }
  }

  void prepare(Exchange& exchange) {
    CURL* easy = exchange.easy.get();
    const HttpRequest& request = exchange.request;
    set(easy, CURLOPT_PRIVATE, &exchange);
    set(easy, CURLOPT_ERRORBUFFER, exchange.error.data());
    set(easy, CURLOPT_NOSIGNAL, 1L);
    set(easy, CURLOPT_QUICK_EXIT, 1L);  // never wait for a name server when a request is given up
    set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(easy, CURLOPT_FOLLOWLOCATION, 0L);
    set(easy, CURLOPT_URL, request.url.c_str());
    set(easy, CURLOPT_PATH_AS_IS, 1L);
    set(easy, CURLOPT_USERAGENT, options_.user_agent.c_str());
    set(easy, CURLOPT_PROXY, request.proxy.c_str());  // "" also shuts out the environment's
    set(easy, CURLOPT_NOPROXY, "");
    set(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(easy, CURLOPT_MAXAGE_CONN, kMostIdleSeconds);
    set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    set(easy, CURLOPT_CONNECTTIMEOUT_MS,
        static_cast<long>(std::max<std::int64_t>(request.connect_timeout.count(), 1)));
    set(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    set(easy, CURLOPT_SSL_VERIFYPEER, request.verify_peer ? 1L : 0L);
    set(easy, CURLOPT_SSL_VERIFYHOST, request.verify_peer ? 2L : 0L);
    if (!options_.ca_file.empty()) set(easy, CURLOPT_CAINFO, options_.ca_file.c_str());

    set(easy, CURLOPT_PREREQFUNCTION, &before_request);
    set(easy, CURLOPT_PREREQDATA, &exchange);
    set(easy, CURLOPT_WRITEFUNCTION, &write_body);
    set(easy, CURLOPT_WRITEDATA, &exchange);
    set(easy, CURLOPT_HEADERFUNCTION, &read_header);
    set(easy, CURLOPT_HEADERDATA, &exchange);

    // The body through a callback that can't be rewound: so libcurl has no way to send it twice.
    const bool posts = !request.body.empty() || request.method == "POST" ||
                       request.method == "PUT" || request.method == "PATCH";
    if (request.method == "HEAD") {
      set(easy, CURLOPT_NOBODY, 1L);
    } else if (posts) {
      set(easy, CURLOPT_POST, 1L);
      set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      set(easy, CURLOPT_READFUNCTION, &read_body);
      set(easy, CURLOPT_READDATA, &exchange);
      set(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
      // Without a body there is nothing to rewind, and a dead reused connection would repeat it.
      if (request.body.empty()) set(easy, CURLOPT_FRESH_CONNECT, 1L);
    } else {
      set(easy, CURLOPT_HTTPGET, 1L);
      set(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }

    bool has_type = false;
    const auto add = [&](const std::string& line) {
      curl_slist* longer = curl_slist_append(exchange.headers.get(), line.c_str());
      if (longer == nullptr) throw std::bad_alloc();
      static_cast<void>(exchange.headers.release());
      exchange.headers.reset(longer);
    };
    for (const auto& [name, value] : request.headers) {
      has_type = has_type || lower(name) == "content-type";
      add(value.empty() ? name + ";" : name + ": " + value);
    }
    if (posts && !has_type) add("Content-Type:");  // none, not libcurl's default
    add("Expect:");                                // no waiting for a 100
    set(easy, CURLOPT_HTTPHEADER, exchange.headers.get());
  }

  void reap() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      char* context = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &context);
      auto& exchange = *reinterpret_cast<Exchange*>(context);
      if (code == CURLE_OK && exchange.head_complete) {
        finish(exchange, HttpFailure::none, {});
        continue;
      }
      if (code == CURLE_OK) {  // libcurl takes a head that was cut short for a whole answer
        finish(exchange, HttpFailure::unanswered, "the connection was closed within the head");
        continue;
      }
      std::string why = exchange.too_large;
      if (why.empty())
        why = exchange.error[0] != '\0' ? exchange.error.data() : curl_easy_strerror(code);
      finish(exchange, exchange.begun ? HttpFailure::unanswered : HttpFailure::not_sent,
             std::move(why));
    }
  }

  void expire() {
    const auto now = Clock::now();
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
      Exchange& exchange = *exchanges_.at(deadlines_.begin()->second);
      const bool waited = exchange.easy == nullptr;
      finish(exchange, exchange.begun ? HttpFailure::unanswered : HttpFailure::not_sent,
             waited ? "the deadline passed while others of the pool were served"
                    : "the deadline passed");
    }
  }

  void cancel(std::uint64_t id, const char* why) {
    const auto found = exchanges_.find(id);
    if (found != exchanges_.end()) finish(*found->second, HttpFailure::canceled, why);
  }

  // Ends the exchange; `exchange` is gone afterwards.
  void finish(Exchange& exchange, HttpFailure failure, std::string why, bool was_begun = false) {
    HttpResponse response = std::move(exchange.response);
    response.failure = failure;
    response.error = std::move(why);
    response.sent = exchange.begun;
    const bool active = was_begun || exchange.easy != nullptr;
    if (exchange.easy) {
      long status = 0;
      curl_easy_getinfo(exchange.easy.get(), CURLINFO_RESPONSE_CODE, &status);
      response.status = static_cast<int>(status);
      curl_multi_remove_handle(multi_.get(), exchange.easy.get());
      if (idle_.size() < kIdleHandles) {
        curl_easy_reset(exchange.easy.get());
        idle_.push_back(std::move(exchange.easy));
      } else {
        exchange.easy.reset();
      }
    }
    if (failure != HttpFailure::none) {
      response.status = 0;
      response.headers.clear();
      response.body.clear();
    }
    if (exchange.request.max_per_pool != 0) {
      if (active) --pools_.at(exchange.request.pool).active;
      freed_.insert(exchange.request.pool);
    }
    deadlines_.erase({exchange.request.deadline, exchange.id});
    exchange.on_cancel.reset();
    const Done done = std::move(exchange.done);
    exchanges_.erase(exchange.id);
    try {
      done(std::move(response));
    } catch (...) {  // NOLINT(bugprone-empty-catch): a callback must not end everybody's client
    }
  }

  ClientOptions options_;
  std::shared_ptr<Inbox> inbox_;
  Descriptor epoll_{::epoll_create1(EPOLL_CLOEXEC)};
  std::unordered_map<std::uint64_t, std::unique_ptr<Exchange>> exchanges_;
  std::set<std::pair<Clock::time_point, std::uint64_t>> deadlines_;
  std::map<std::string, Pool> pools_;
  std::set<std::string> freed_;  // pools that may have room for the next
  std::vector<Easy> idle_;
  std::unique_ptr<CURLM, MultiEnd> multi_;
  std::optional<Clock::time_point> timer_;  // when libcurl wants to be called
  std::uint64_t last_id_ = 0;
  std::thread thread_;
};

Client::Client(ClientOptions options) : loop_(std::make_unique<Loop>(std::move(options))) {}
Client::~Client() = default;

void Client::start(HttpRequest request, std::stop_token cancel, Done done) {
  Arrival arrival{std::move(request), std::move(cancel), std::move(done)};
  if (loop_->put(arrival)) return;
  HttpResponse response;
  response.failure = HttpFailure::canceled;
  response.error = "the client is ending";
  arrival.done(std::move(response));
}

}  // namespace postern::sdk_http
