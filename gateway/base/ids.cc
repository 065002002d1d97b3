#include "base/ids.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>

#include "base/bytes.h"

namespace postern {
namespace {

// A pool of random bytes per thread: one call into OpenSSL serves many ids.
class RandomPool {
 public:
  void take(unsigned char* to, std::size_t count) {
    if (count > pool_.size()) return fill(to, count);
    if (used_ + count > pool_.size()) {
      fill(pool_.data(), pool_.size());
      used_ = 0;
    }
    std::copy_n(pool_.data() + used_, count, to);
    std::fill_n(pool_.data() + used_, count, static_cast<unsigned char>(0));
    used_ += count;
  }

 private:
  static void fill(unsigned char* to, std::size_t count) {
    if (RAND_bytes(to, static_cast<int>(count)) != 1) {
      std::fputs("postern: the system gives no random bytes; stopping\n", stderr);
      std::abort();
    }
  }
  std::array<unsigned char, 512> pool_{};
  std::size_t used_ = 512;
};

void random_into(unsigned char* to, std::size_t count) {
  thread_local RandomPool pool;
  pool.take(to, count);
}

std::string uuid_text(const std::array<unsigned char, 16>& bytes) {
  const std::string hex =
      hex_encode({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  return hex.substr(0, 8) + '-' + hex.substr(8, 4) + '-' + hex.substr(12, 4) + '-' +
         hex.substr(16, 4) + '-' + hex.substr(20, 12);
}

}  // namespace

std::string random_bytes(std::size_t count) {
  std::string out(count, '\0');
  random_into(reinterpret_cast<unsigned char*>(out.data()), count);
  return out;
}

double random_unit() {
  std::uint64_t bits = 0;
  random_into(reinterpret_cast<unsigned char*>(&bits), sizeof bits);
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

std::string uuid_v7(const Clock& clock) {
  // RFC 9562 6.2 method 1: 12 bits of rand_a are a counter within the millisecond; when it runs
  // over, time is taken a millisecond ahead. State is (millis << 12 | counter).
  static std::atomic<std::uint64_t> last{0};
  const auto now = static_cast<std::uint64_t>(clock.now()) << 12;
  std::uint64_t previous = last.load(std::memory_order_relaxed);
  std::uint64_t next = 0;
  do {
    next = std::max(now, previous + 1);
    // A clock that was set back by more than a minute is believed: order across the step is lost,
    // but ids don't run ahead of time for ever.
    if (previous > now + (std::uint64_t{60'000} << 12)) next = now;
  } while (!last.compare_exchange_weak(previous, next, std::memory_order_relaxed));

  std::array<unsigned char, 16> bytes{};
  random_into(bytes.data() + 8, 8);
  const std::uint64_t millis = next >> 12;
  for (std::size_t i = 0; i < 6; ++i) {
    bytes[i] = static_cast<unsigned char>(millis >> (40 - 8 * i));
  }
  bytes[6] = static_cast<unsigned char>(0x70 | ((next >> 8) & 0x0f));
  bytes[7] = static_cast<unsigned char>(next);
  bytes[8] = static_cast<unsigned char>(0x80 | (bytes[8] & 0x3f));
  return uuid_text(bytes);
}

std::string uuid_v5(std::string_view name) {
  static constexpr std::array<unsigned char, 16> kNamespace{0x3b, 0x9c, 0x52, 0x0e, 0x41, 0x6d,
                                                            0x4c, 0x0a, 0x9e, 0x57, 0x70, 0x6f,
                                                            0x73, 0x74, 0x65, 0x72};
  std::string input(kNamespace.begin(), kNamespace.end());
  input += name;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(input.data(), input.size(), digest.data(), &size, EVP_sha1(), nullptr);
  std::array<unsigned char, 16> bytes{};
  std::copy_n(digest.begin(), bytes.size(), bytes.begin());
  bytes[6] = static_cast<unsigned char>(0x50 | (bytes[6] & 0x0f));
  bytes[8] = static_cast<unsigned char>(0x80 | (bytes[8] & 0x3f));
  return uuid_text(bytes);
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (c != '-') return false;
    } else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) {
      return false;
    }
  }
  return true;
}

std::string ulid(const Clock& clock) {
  static constexpr std::string_view kDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  std::string out(26, '0');
  auto millis = static_cast<std::uint64_t>(clock.now());
  for (std::size_t i = 10; i-- > 0;) {
    out[i] = kDigits[millis & 31];
    millis >>= 5;
  }
  std::array<unsigned char, 16> random{};
  random_into(random.data(), random.size());
  for (std::size_t i = 0; i < 16; ++i) out[10 + i] = kDigits[random[i] & 31];
  return out;
}

}  // namespace postern
