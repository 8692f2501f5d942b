#pragma once
// How much a fleet asks of the API server.

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "test/chaos/mortal_gate.hpp"
#include "test/fakes/forwarding_store.hpp"

namespace gate::test {

/// Counts what would be requests to the API server.
struct ApiCalls {
  /// Held during a call, for those who wait until nobody does anything.
  struct UnderWay {
    explicit UnderWay(ApiCalls& api_calls) : calls(api_calls) { calls.activity.begin(); }
    ~UnderWay() { calls.activity.end(); }
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;
    ApiCalls& calls;
  };
  Activity activity;
  std::atomic<std::uint64_t> reads{0};
  std::atomic<std::uint64_t> writes{0};
  [[nodiscard]] std::uint64_t all() const { return reads + writes; }
};

/// Also the API server's line: while it is away, every call fails at once.
class CountedStore final : public ForwardingStore {
 public:
  CountedStore(PreparationStore& store, ApiCalls& calls) : ForwardingStore(store), calls_(calls) {}

  std::atomic<bool> away{false};
  std::atomic<bool> read_only{false};  // as with etcd out of space

 private:
  std::optional<Error> around(const StoreCall& call, const std::function<void()>& make) override {
    const ApiCalls::UnderWay under_way(calls_);
    ++(call.writes() ? calls_.writes : calls_.reads);
    if (away || (read_only && call.writes())) return Error{ErrorCode::Unavailable, "connection refused"};
    return ForwardingStore::around(call, make);
  }

  ApiCalls& calls_;
};

/// Until nobody does anything: a thousand looks at once take long on a busy machine.
inline void wait_until_quiet(ApiCalls& calls) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(600);
  while (!calls.activity.quiet()) REQUIRE(std::chrono::steady_clock::now() < give_up);
}

inline std::string cluster_name(std::size_t number) { return "sr-" + std::to_string(number); }

}  // namespace gate::test
