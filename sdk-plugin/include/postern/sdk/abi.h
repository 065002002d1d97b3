// postern/sdk/abi.h: what the host compares, field by field, before it touches anything else of a
// plugin. A plugin shares C++ objects with the gateway, so both must have been built alike.
#pragma once

#include <cstddef>
#include <cstdint>

namespace postern::sdk {

// Moves whenever a layout or a virtual function of the SDK changes; layout.h says when it must.
inline constexpr std::uint32_t kAbiNumber = 1;
inline constexpr std::uint32_t kAbiMagic = 0x4e525450;  // "PTRN", little-endian

enum class Sanitizer : std::uint32_t { none = 0, address = 1, thread = 2 };

// Plain data with a fixed layout, so that a plugin of any age can be asked for it.
struct AbiBlock {
  std::uint32_t magic;
  std::uint32_t block_bytes;      // sizeof(AbiBlock)
  std::uint32_t abi_number;       // kAbiNumber
  std::uint32_t pointer_bytes;    // sizeof(void*)
  std::uint32_t libstdcxx_abi;    // _GLIBCXX_USE_CXX11_ABI
  std::uint32_t libstdcxx_debug;  // 1 with _GLIBCXX_DEBUG: containers have another layout
  std::uint32_t sanitizer;        // a Sanitizer
  std::uint32_t reserved;
};
static_assert(sizeof(AbiBlock) == 32);

constexpr AbiBlock current_abi() {
  return AbiBlock{
      .magic = kAbiMagic,
      .block_bytes = sizeof(AbiBlock),
      .abi_number = kAbiNumber,
      .pointer_bytes = sizeof(void*),
#ifdef _GLIBCXX_USE_CXX11_ABI
      .libstdcxx_abi = _GLIBCXX_USE_CXX11_ABI,
#else
      .libstdcxx_abi = 0,
#endif
#ifdef _GLIBCXX_DEBUG
      .libstdcxx_debug = 1,
#else
      .libstdcxx_debug = 0,
#endif
#if defined(__SANITIZE_ADDRESS__)
      .sanitizer = static_cast<std::uint32_t>(Sanitizer::address),
#elif defined(__SANITIZE_THREAD__)
      .sanitizer = static_cast<std::uint32_t>(Sanitizer::thread),
#else
      .sanitizer = static_cast<std::uint32_t>(Sanitizer::none),
#endif
      .reserved = 0,
  };
}

}  // namespace postern::sdk
