// ThreadSanitizer sees only half of what Pistache's accept thread does, since the library is not
// built with it: it misses the reference counts by which that thread and a worker share a peer, and
// the queue by which the descriptor is handed over. Named are functions of the accept thread and of
// the poller alone; none of them calls our code.
#if defined(__SANITIZE_THREAD__)
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "race:Pistache::Tcp::Listener::handleNewConnection\n"
         "race:Pistache::Polling::Epoll::addFd\n";
}
#endif
