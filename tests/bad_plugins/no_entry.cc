// A library that is no plugin, and would leave a trace if any of its code ran.
#include <cstdio>
#include <cstdlib>

namespace {

__attribute__((constructor)) void leave_a_trace() {
  const char* path = std::getenv("POSTERN_TEST_TRACE");
  if (path == nullptr) return;
  if (std::FILE* file = std::fopen(path, "w")) std::fclose(file);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int postern_plugin_v2() {
  return 2;
}
