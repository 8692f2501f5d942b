#include "server/net/host_resolver.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <exception>
#include <memory>

#include "server/net/address.hpp"

namespace gate {

struct HostResolver::Lookup {
  /// Touched while the resolver's state is locked.
  struct Found {
    int failure = 0;  ///< An EAI_ code.
    std::vector<std::string> addresses;
    bool done = false;
  };
  Found found;
  std::jthread thread;
};

namespace {

int look_up(const std::string& host, std::vector<std::string>& out) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  if (const int failure = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); failure != 0) return failure;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(one->ai_addr, one->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0)
      continue;
    if (std::find(out.begin(), out.end(), text.data()) == out.end()) out.emplace_back(text.data());
  }
  return out.empty() ? EAI_NONAME : 0;
}

/// Names of Services are completed by the resolver, or by a domain that somebody typed.
std::string hint_for(const std::string& host) {
  return host.find(".svc") == std::string::npos ? "" : " (another DNS domain of the cluster: --cluster-domain)";
}

}  // namespace

HostResolver::~HostResolver() {
  std::list<std::shared_ptr<Lookup>> last;
  last.swap(state_.lock()->lookups);
  // `last` joins as it goes; the threads still take the lock, which outlives it.
}

void HostResolver::reap_finished() {
  std::list<std::shared_ptr<Lookup>> finished;
  {
    const auto state = state_.lock();
    for (auto it = state->lookups.begin(); it != state->lookups.end();) {
      const auto next = std::next(it);
      if ((*it)->found.done) finished.splice(finished.end(), state->lookups, it);
      it = next;
    }
  }
  for (const auto& lookup : finished) lookup->thread.join();  // It has released the lock, or is about to.
}

void HostResolver::interrupt() {
  state_.lock()->interrupted = true;
  finished_.notify_all();
}

Result<std::vector<std::string>> HostResolver::resolve(const std::string& host, Deadline deadline) {
  if (is_ip_address(host)) return std::vector<std::string>{host};
  reap_finished();

  const auto lookup = std::make_shared<Lookup>();
  auto state = state_.lock();
  if (state->interrupted) return Error{ErrorCode::Unavailable, "cannot look up " + host + ": shutting down", 0};
  if (state->lookups.size() >= kLookupsMax)
    return Error{ErrorCode::Unavailable, "cannot look up " + host + ": too many lookups wait for the name server", 0};
  state->lookups.push_back(lookup);
  try {
    lookup->thread = std::jthread([this, host, &result = lookup->found] {
      Lookup::Found found;
      try {
        found.failure = look_up(host, found.addresses);
      } catch (const std::exception&) {
        found.failure = EAI_MEMORY;
      }
      found.done = true;
      const auto done = state_.lock();
      result = std::move(found);
      finished_.notify_all();
    });
  } catch (const std::exception& error) {  // No thread, or no memory.
    state->lookups.pop_back();             // it would count as under way for ever
    return Error{ErrorCode::Unavailable, "cannot look up " + host + ": no thread for it: " + error.what(), 0};
  }
  const auto is_over = [&](const State& now) { return lookup->found.done || now.interrupted; };
  if (!state.wait_until(finished_, deadline, is_over))
    return Error{ErrorCode::DeadlineExceeded, "the name server did not answer for " + host + " in time", 0};
  if (!lookup->found.done) return Error{ErrorCode::Unavailable, "cannot look up " + host + ": shutting down", 0};
  if (lookup->found.failure != 0)
    return Error{ErrorCode::Unavailable,
                 "cannot look up " + host + ": " + ::gai_strerror(lookup->found.failure) + hint_for(host), 0};
  return lookup->found.addresses;
}

}  // namespace gate
