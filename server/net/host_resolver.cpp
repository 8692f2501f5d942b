#include "server/net/host_resolver.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <system_error>

namespace gate {

struct HostResolver::Lookup {
  int failure = 0;  ///< An EAI_ code. Guarded by the resolver's lock, like all here but `thread`.
  std::vector<std::string> addresses;
  bool done = false;
  std::jthread thread;
};

namespace {

bool is_numeric(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

int look_up(const std::string& host, std::vector<std::string>& out) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  if (const int failure = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); failure != 0) return failure;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(one->ai_addr, one->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0)
      continue;
    if (std::find(out.begin(), out.end(), text.data()) == out.end()) out.emplace_back(text.data());
  }
  ::freeaddrinfo(found);
  return out.empty() ? EAI_NONAME : 0;
}

/// Names of Services are completed by the resolver, or by a domain that somebody typed.
std::string hint_for(const std::string& host) {
  return host.find(".svc") == std::string::npos ? "" : " (another DNS domain of the cluster: --cluster-domain)";
}

}  // namespace

HostResolver::~HostResolver() {
  std::list<std::shared_ptr<Lookup>> last;
  {
    const std::lock_guard lock(mutex_);
    last.swap(lookups_);
  }
  // `last` joins as it goes; the threads still take the lock, which outlives it.
}

void HostResolver::reap_finished() {
  std::list<std::shared_ptr<Lookup>> finished;
  const std::lock_guard lock(mutex_);
  for (auto it = lookups_.begin(); it != lookups_.end();) {
    const auto next = std::next(it);
    if ((*it)->done) finished.splice(finished.end(), lookups_, it);
    it = next;
  }
  for (const auto& lookup : finished) lookup->thread.join();  // It has released the lock for the last time: at once.
}

void HostResolver::interrupt() {
  {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
  }
  finished_.notify_all();
}

Result<std::vector<std::string>> HostResolver::resolve(const std::string& host, Deadline deadline) {
  if (is_numeric(host)) return std::vector<std::string>{host};
  reap_finished();

  const auto lookup = std::make_shared<Lookup>();
  std::unique_lock lock(mutex_);
  if (interrupted_) return Error{ErrorCode::Unavailable, "cannot look up " + host + ": shutting down", 0};
  if (lookups_.size() >= kLookupsMax)
    return Error{ErrorCode::Unavailable, "cannot look up " + host + ": too many lookups wait for the name server", 0};
  lookups_.push_back(lookup);
  try {
    lookup->thread = std::jthread([this, host, &result = *lookup] {
      std::vector<std::string> addresses;
      const int failure = look_up(host, addresses);
      const std::lock_guard done_lock(mutex_);
      result.failure = failure;
      result.addresses = std::move(addresses);
      result.done = true;
      finished_.notify_all();
    });
  } catch (const std::system_error& error) {
    lookups_.pop_back();  // it would count as under way for ever
    return Error{ErrorCode::Unavailable, "cannot look up " + host + ": no thread for it: " + error.what(), 0};
  }
  if (!finished_.wait_until(lock, deadline, [&] { return lookup->done || interrupted_; }))
    return Error{ErrorCode::DeadlineExceeded, "the name server did not answer for " + host + " in time", 0};
  if (!lookup->done) return Error{ErrorCode::Unavailable, "cannot look up " + host + ": shutting down", 0};
  if (lookup->failure != 0)
    return Error{ErrorCode::Unavailable,
                 "cannot look up " + host + ": " + ::gai_strerror(lookup->failure) + hint_for(host), 0};
  return lookup->addresses;
}

}  // namespace gate
