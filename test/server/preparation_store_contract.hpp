#pragma once
// What every PreparationStore must do; run on each implementation by its own test.

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/ports/preparation_store.hpp"

namespace gate::test {

/// Makes a store that is started after `observer` was registered. Stores of one process share their records.
using StoreFactory = std::function<std::unique_ptr<PreparationStore>(PreparationStore::Observer observer)>;

inline Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(30); }

inline Preparation sample_record(const std::string& name_space, const std::string& name,
                                 const std::string& cluster = "sr", int attempt = 1) {
  Preparation record;
  record.name_space = name_space;
  record.name = name;
  record.spec.object = {"StarRocksCluster", cluster, "uid-of-" + cluster};
  record.spec.cluster = cluster;
  record.spec.attempt = attempt;
  record.spec.changes = {{Component::Frontend, "starrocks/fe-ubuntu:3.3.1", "starrocks/fe-ubuntu:3.4.0"},
                         {Component::Backend, "starrocks/be-ubuntu:3.3.1", "starrocks/be-ubuntu:3.4.0"}};
  Hook first;
  first.name = "disable-balancer";
  first.action =
      SqlAction{"ADMIN SET FRONTEND CONFIG (\"disable_balance\"=\"true\")", ConfigSetting{"disable_balance", "true"}};
  Hook second;
  second.name = "look";
  second.action = SqlAction{"SHOW FRONTENDS", std::nullopt};
  second.critical = false;
  second.timeout = std::chrono::seconds(20);
  record.spec.hooks = {first, second};
  record.spec.requested_by = {"alice", {"developers", "system:authenticated"}, "3f1c"};
  record.spec.supersedes = "sr-0000000000-1";
  record.spec.retry_token = "monday";
  record.spec.asked_before = true;
  record.spec.bypass = Bypass{"*", "disk full", WallTime{std::chrono::seconds(1790000000)}};
  return record;
}

/// Every field of the status set to something that is not its default.
inline PreparationStatus sample_status() {
  const WallTime time{std::chrono::seconds(1790000000)};
  PreparationStatus status;
  status.phase = Phase::Completed;
  status.reason = "HooksCompleted";
  status.message = "2 of 2 hooks";
  status.stage = Stage::Restoring;
  status.outcome = Outcome::Succeeded;
  status.hooks = {{"disable-balancer", HookPhase::Completed, 2, time, time + std::chrono::seconds(3), ""},
                  {"look", HookPhase::Failed, 1, time, time + std::chrono::seconds(4), "ERROR 1064 (HY000): no"}};
  status.captured = {{"disable_balance", "false", "true"}, {"empty_before", "", "1"}};
  status.restore_pending = true;
  status.taken_over = true;
  status.start_time = time;
  status.completion_time = time + std::chrono::seconds(5);
  status.admitted_time = time + std::chrono::seconds(6);
  status.rolled_out_time = time + std::chrono::seconds(7);
  status.restored_time = time + std::chrono::seconds(8);
  status.restoring_time = time + std::chrono::seconds(9);
  status.reopened_time = time + std::chrono::seconds(10);
  status.nodes_before = {{Component::Backend, "be-0:9050", "2026-01-02 03:04:05", "3.3.1-1f1aa9c"}};
  status.runner = {"gate-0", time + std::chrono::seconds(2)};
  return status;
}

/// Collects what an observer is told and waits for it.
class Observed {
 public:
  struct Change {
    Preparation record;
    bool removed = false;
  };

  PreparationStore::Observer observer() {
    return [this](const Preparation& record, bool removed) {
      {
        const std::scoped_lock lock(mutex_);
        changes_.push_back({record, removed});
      }
      changed_.notify_all();
    };
  }
  /// True as soon as some change so far satisfies `wanted`; false when none does in time.
  bool wait_for(const std::function<bool(const Change&)>& wanted) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, soon(), [&] { return std::any_of(changes_.begin(), changes_.end(), wanted); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Change> changes_;
};

/// Runs inside a TEST_CASE. `name_space` exists and holds no records; subcases use records of their own names.
inline void check_preparation_store_contract(const StoreFactory& make_store, const std::string& name_space) {
  const auto ignore = [](const Preparation&, bool) {};

  SUBCASE("a created record has its spec, a fresh status and the store's own marks") {
    const auto store = make_store(ignore);
    Preparation record = sample_record(name_space, "create-1");
    record.status = sample_status();
    const auto created = store->create(record, soon());
    REQUIRE_MESSAGE(created.ok(), (created.ok() ? "" : created.error().message));
    CHECK(created->spec == record.spec);
    CHECK(created->status == PreparationStatus{});
    CHECK_FALSE(created->uid.empty());
    CHECK_FALSE(created->resource_version.empty());
    CHECK(created->creation_time.has_value());
    const auto read = store->get(name_space, "create-1", soon());
    REQUIRE(read.ok());
    CHECK(read->spec == record.spec);
    CHECK(read->uid == created->uid);
    CHECK(read->resource_version == created->resource_version);
  }

  SUBCASE("a name is taken once: the second create fails and changes nothing") {
    const auto store = make_store(ignore);
    REQUIRE(store->create(sample_record(name_space, "twice-1"), soon()).ok());
    Preparation other = sample_record(name_space, "twice-1");
    other.spec.requested_by.username = "mallory";
    const auto second = store->create(other, soon());
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().code == ErrorCode::AlreadyExists);
    const auto read = store->get(name_space, "twice-1", soon());
    REQUIRE(read.ok());
    CHECK(read->spec.requested_by.username == "alice");
  }

  SUBCASE("what is not there is NotFound to get and to update_status, and no error to remove") {
    const auto store = make_store(ignore);
    const auto read = store->get(name_space, "absent", soon());
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().code == ErrorCode::NotFound);
    Preparation record = sample_record(name_space, "absent");
    record.resource_version = "1";
    const auto updated = store->update_status(record, soon());
    REQUIRE_FALSE(updated.ok());
    CHECK(updated.error().code == ErrorCode::NotFound);
    CHECK(store->remove(name_space, "absent", soon()).ok());
    CHECK(store->let_go(name_space, "absent", soon()).ok());
  }

  SUBCASE("update_status keeps every field of the status and nothing of the spec") {
    const auto store = make_store(ignore);
    const auto created = store->create(sample_record(name_space, "update-1"), soon());
    REQUIRE(created.ok());
    Preparation changed = *created;
    changed.status = sample_status();
    changed.spec.requested_by.username = "mallory";
    const auto updated = store->update_status(changed, soon());
    REQUIRE_MESSAGE(updated.ok(), (updated.ok() ? "" : updated.error().message));
    CHECK(updated->status == changed.status);
    CHECK(updated->resource_version != created->resource_version);
    const auto read = store->get(name_space, "update-1", soon());
    REQUIRE(read.ok());
    CHECK(read->status == changed.status);
    CHECK(read->spec == created->spec);
    CHECK(read->resource_version == updated->resource_version);
  }

  SUBCASE("a stale version is a Conflict, and nothing is written") {
    const auto store = make_store(ignore);
    const auto created = store->create(sample_record(name_space, "stale-1"), soon());
    REQUIRE(created.ok());
    Preparation first = *created;
    first.status.message = "first";
    REQUIRE(store->update_status(first, soon()).ok());
    Preparation second = *created;
    second.status.message = "second";
    const auto refused = store->update_status(second, soon());
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::Conflict);
    const auto read = store->get(name_space, "stale-1", soon());
    REQUIRE(read.ok());
    CHECK(read->status.message == "first");
  }

  SUBCASE("of several writers at once none is lost") {
    constexpr int kWriters = 4;
    constexpr int kRounds = 5;
    const auto store = make_store(ignore);
    REQUIRE(store->create(sample_record(name_space, "race-1"), soon()).ok());
    std::atomic<int> faults{0};
    {
      std::vector<std::jthread> writers;
      writers.reserve(kWriters);
      for (int writer = 0; writer < kWriters; ++writer) {
        writers.emplace_back([&] {
          for (int done = 0; done < kRounds;) {
            auto record = store->get(name_space, "race-1", soon());
            if (!record) {
              ++faults;
              return;
            }
            if (record->status.hooks.empty()) record->status.hooks = {{"look", HookPhase::Running, 0, {}, {}, ""}};
            ++record->status.hooks.front().attempts;
            const auto updated = store->update_status(*record, soon());
            if (updated) {
              ++done;
            } else if (updated.error().code != ErrorCode::Conflict) {
              ++faults;
              return;
            }
          }
        });
      }
    }
    CHECK(faults == 0);
    const auto read = store->get(name_space, "race-1", soon());
    REQUIRE(read.ok());
    REQUIRE(read->status.hooks.size() == 1);
    CHECK(read->status.hooks.front().attempts == kWriters * kRounds);
  }

  SUBCASE("list_of_cluster gives the cluster's records, newest first") {
    const auto store = make_store(ignore);
    for (int attempt = 1; attempt <= 3; ++attempt) {
      REQUIRE(store->create(sample_record(name_space, "listed-" + std::to_string(attempt), "listed", attempt), soon())
                  .ok());
    }
    REQUIRE(store->create(sample_record(name_space, "another-1", "listed-other"), soon()).ok());
    const auto records = store->list_of_cluster(name_space, "listed", soon());
    REQUIRE(records.ok());
    REQUIRE(records->size() == 3);
    CHECK((*records)[0].name == "listed-3");
    CHECK((*records)[1].name == "listed-2");
    CHECK((*records)[2].name == "listed-1");
    const auto elsewhere = store->list_of_cluster("another-" + name_space, "listed", soon());
    REQUIRE(elsewhere.ok());
    CHECK(elsewhere->empty());
  }

  SUBCASE("observers and the cache see a record come, change and go") {
    Observed observed;
    const auto store = make_store(observed.observer());
    const auto about = [](const std::string& name, auto more) {
      return [name, more](const Observed::Change& change) { return change.record.name == name && more(change); };
    };
    const auto cached = [&](const std::string& name) {
      for (const auto& record : store->cached()) {
        if (record.name == name && record.name_space == name_space) return true;
      }
      return false;
    };
    const auto created = store->create(sample_record(name_space, "seen-1"), soon());
    REQUIRE(created.ok());
    REQUIRE(observed.wait_for(about("seen-1", [](const auto& change) { return !change.removed; })));
    CHECK(cached("seen-1"));
    std::size_t visited = 0;
    store->visit_cached([&](const Preparation& record) {
      if (record.name == "seen-1" && record.name_space == name_space && record.uid == created->uid) ++visited;
    });
    CHECK(visited == 1);
    // The last object of the first list may be seen a moment before the list counts as complete.
    for (const auto deadline = soon(); !store->synced() && std::chrono::steady_clock::now() < deadline;) {
      std::this_thread::yield();
    }
    CHECK(store->synced());
    Preparation changed = *created;
    changed.status.message = "moved on";
    REQUIRE(store->update_status(changed, soon()).ok());
    REQUIRE(observed.wait_for(about(
        "seen-1", [](const auto& change) { return !change.removed && change.record.status.message == "moved on"; })));
    CHECK(created->held);
    REQUIRE(store->remove(name_space, "seen-1", soon()).ok());
    const auto held = store->get(name_space, "seen-1", soon());
    REQUIRE(held.ok());  // what it captured is not lost
    CHECK(held->deleting);
    REQUIRE(store->let_go(name_space, "seen-1", soon()).ok());
    REQUIRE(observed.wait_for(about("seen-1", [](const auto& change) { return change.removed; })));
    CHECK_FALSE(cached("seen-1"));
    const auto read = store->get(name_space, "seen-1", soon());
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().code == ErrorCode::NotFound);
  }
}

}  // namespace gate::test
