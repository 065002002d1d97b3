// api/messages.h: GET /v1/messages/{id}.
#pragma once

#include "api/call.h"
#include "base/thread_pool.h"
#include "postern/sdk/storage.h"

namespace postern::api {

class GetMessage {
 public:
  // References outlive it. Thread-safe.
  GetMessage(sdk::Storage& storage, ThreadPool& readers, sdk::Logger& logger)
      : storage_(storage), readers_(readers), logger_(logger) {}

  // Reads on a reader thread. Another organization's message looks like none.
  void operator()(Call call);

 private:
  sdk::Storage& storage_;
  ThreadPool& readers_;
  sdk::Logger& logger_;
};

}  // namespace postern::api
