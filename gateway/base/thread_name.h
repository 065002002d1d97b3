// base/thread_name.h: what a thread is called in top, perf and gdb.
#pragma once

#include <pthread.h>

namespace postern {

// Names the calling thread; at most 15 characters (pthread_setname_np).
inline void name_thread(const char* name) { pthread_setname_np(pthread_self(), name); }

}  // namespace postern
