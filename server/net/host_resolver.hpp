#pragma once
// getaddrinfo() with a deadline. It cannot be cancelled, so it runs on a thread that the caller stops waiting for.

#include <condition_variable>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "policy/text/result.hpp"
#include "server/base/guarded.hpp"
#include "server/ports/clock.hpp"

namespace gate {

/// Lookups left running at once; a name server that answers none of them blocks further ones, not the process.
inline constexpr std::size_t kLookupsMax = 64;

/// Thread safe. The destructor joins the lookups under way, which the C library bounds (resolv.conf: about 20 s).
class HostResolver {
 public:
  HostResolver() = default;
  ~HostResolver();
  HostResolver(const HostResolver&) = delete;
  HostResolver& operator=(const HostResolver&) = delete;

  /// Numeric addresses, IPv4 and IPv6, in the system's order; a numeric `host` needs no lookup. Unavailable: unknown
  /// name or failing name server. DeadlineExceeded: no answer in time.
  [[nodiscard]] Result<std::vector<std::string>> resolve(const std::string& host, Deadline deadline);

  /// Lookups waited for, now and from now on, are Unavailable at once.
  void interrupt();

 private:
  struct Lookup;
  struct State {
    std::list<std::shared_ptr<Lookup>> lookups;
    bool interrupted = false;
  };

  void reap_finished();

  Guarded<State> state_;
  std::condition_variable finished_;
};

}  // namespace gate
