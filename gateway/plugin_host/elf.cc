#include "plugin_host/elf.h"

#include <elf.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "base/bytes.h"

namespace postern::plugin_host {
namespace {

#if defined(__x86_64__)
constexpr std::uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr std::uint16_t kMachine = EM_AARCH64;
#else
#error "name this machine's ELF number here"
#endif

constexpr std::uint64_t kMostHeaders = 65'535;

std::string both(std::uint64_t found, std::uint64_t needed) {
  return "is " + std::to_string(found) + ", this gateway needs " + std::to_string(needed);
}

template <typename T>
bool read_at(std::ifstream& in, std::uint64_t offset, T& to) {
  in.seekg(static_cast<std::streamoff>(offset));
  return static_cast<bool>(in.read(reinterpret_cast<char*>(&to), sizeof to));
}

bool fits(std::uint64_t offset, std::uint64_t bytes, std::uint64_t size) {
  return offset <= size && bytes <= size - offset;
}

ElfProblem cut_short(std::uint64_t size, const char* what, std::uint64_t offset,
                     std::uint64_t bytes) {
  return {"size", "is " + std::to_string(size) + " bytes, its " + what + " needs " +
                      std::to_string(offset + bytes) + ": the file was cut short"};
}

}  // namespace

std::optional<ElfProblem> check_elf(const std::string& file) {
  std::error_code failed;
  const std::uint64_t size = std::filesystem::file_size(file, failed);
  if (failed) return ElfProblem{"file", "can't be read: " + failed.message()};
  std::ifstream in(file, std::ios::binary);
  if (!in) return ElfProblem{"file", "can't be opened: " + std::string{std::strerror(errno)}};

  Elf64_Ehdr head{};
  unsigned char magic[SELFMAG] = {};
  if (!read_at(in, 0, magic) || std::memcmp(magic, ELFMAG, SELFMAG) != 0) {
    const auto have = std::min<std::uint64_t>(size, SELFMAG);
    const std::string_view bytes{reinterpret_cast<const char*>(magic),
                                 static_cast<std::size_t>(have)};
    return ElfProblem{"elf_magic", "is " + (bytes.empty() ? "empty" : hex_encode(bytes)) +
                                       ", a shared library has 7f454c46"};
  }
  if (!read_at(in, 0, head)) return cut_short(size, "ELF header", 0, sizeof head);
  if (head.e_ident[EI_CLASS] != ELFCLASS64) {
    return ElfProblem{"elf_class", both(head.e_ident[EI_CLASS], ELFCLASS64)};
  }
  if (head.e_ident[EI_DATA] != ELFDATA2LSB) {
    return ElfProblem{"elf_data", both(head.e_ident[EI_DATA], ELFDATA2LSB)};
  }
  if (head.e_type != ET_DYN) return ElfProblem{"elf_type", both(head.e_type, ET_DYN)};
  if (head.e_machine != kMachine) return ElfProblem{"elf_machine", both(head.e_machine, kMachine)};
  if (head.e_phentsize != sizeof(Elf64_Phdr)) {
    return ElfProblem{"elf_phentsize", both(head.e_phentsize, sizeof(Elf64_Phdr))};
  }
  if (head.e_shentsize != sizeof(Elf64_Shdr)) {
    return ElfProblem{"elf_shentsize", both(head.e_shentsize, sizeof(Elf64_Shdr))};
  }

  const std::uint64_t segments = std::uint64_t{head.e_phnum} * sizeof(Elf64_Phdr);
  if (!fits(head.e_phoff, segments, size)) {
    return cut_short(size, "table of segments", head.e_phoff, segments);
  }
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(head.e_phnum, kMostHeaders); ++i) {
    Elf64_Phdr segment{};
    if (!read_at(in, head.e_phoff + i * sizeof segment, segment) ||
        !fits(segment.p_offset, segment.p_filesz, size)) {
      return cut_short(size, "segment", segment.p_offset, segment.p_filesz);
    }
  }
  const std::uint64_t sections = std::uint64_t{head.e_shnum} * sizeof(Elf64_Shdr);
  if (head.e_shnum == 0 || head.e_shstrndx >= head.e_shnum) {
    return ElfProblem{"elf_sections", "has no table of sections, this gateway needs one"};
  }
  if (!fits(head.e_shoff, sections, size)) {
    return cut_short(size, "table of sections", head.e_shoff, sections);
  }
  for (std::uint64_t i = 0; i < head.e_shnum; ++i) {
    Elf64_Shdr section{};
    if (!read_at(in, head.e_shoff + i * sizeof section, section) ||
        (section.sh_type != SHT_NOBITS && !fits(section.sh_offset, section.sh_size, size))) {
      return cut_short(size, "section", section.sh_offset, section.sh_size);
    }
  }
  return std::nullopt;
}

}  // namespace postern::plugin_host
