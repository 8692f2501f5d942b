#pragma once
// How much a fleet asks of the API server.

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "server/ports/preparation_store.hpp"
#include "test/chaos/mortal_gate.hpp"

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
class CountedStore final : public PreparationStore {
 public:
  CountedStore(PreparationStore& store, ApiCalls& calls) : store_(store), calls_(calls) {}
  Result<Preparation> create(const Preparation& record, Deadline deadline) override {
    const ApiCalls::UnderWay under_way(calls_);
    ++calls_.writes;
    if (away || read_only) return gone();
    return store_.create(record, deadline);
  }
  Result<Preparation> get(const std::string& name_space, const std::string& name, Deadline deadline) override {
    const ApiCalls::UnderWay under_way(calls_);
    ++calls_.reads;
    if (away) return gone();
    return store_.get(name_space, name, deadline);
  }
  Result<std::vector<Preparation>> list_of_cluster(const std::string& name_space, const std::string& cluster,
                                                   Deadline deadline) override {
    const ApiCalls::UnderWay under_way(calls_);
    ++calls_.reads;
    if (away) return gone();
    return store_.list_of_cluster(name_space, cluster, deadline);
  }
  Result<Preparation> update_status(const Preparation& record, Deadline deadline) override {
    const ApiCalls::UnderWay under_way(calls_);
    ++calls_.writes;
    if (away || read_only) return gone();
    return store_.update_status(record, deadline);
  }
  Status let_go(const std::string& name_space, const std::string& name, Deadline deadline) override {
    const ApiCalls::UnderWay under_way(calls_);
    ++calls_.writes;
    if (away || read_only) return gone();
    return store_.let_go(name_space, name, deadline);
  }
  Status remove(const std::string& name_space, const std::string& name, Deadline deadline) override {
    const ApiCalls::UnderWay under_way(calls_);
    ++calls_.writes;
    if (away || read_only) return gone();
    return store_.remove(name_space, name, deadline);
  }
  std::vector<Preparation> cached() const override { return store_.cached(); }
  bool synced() const override { return true; }
  void observe(Observer observer) override { store_.observe(std::move(observer)); }

  std::atomic<bool> away{false};
  std::atomic<bool> read_only{false};  // as with etcd out of space

 private:
  static Error gone() { return {ErrorCode::Unavailable, "connection refused"}; }
  PreparationStore& store_;
  ApiCalls& calls_;
};

inline std::string cluster_name(std::size_t number) { return "sr-" + std::to_string(number); }

}  // namespace gate::test
