#pragma once
// One gate that answers reviews: records in memory, a controller at work, FEs on sockets.

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "server/admission/admission_service.hpp"
#include "test/fakes/forwarding_store.hpp"
#include "test/server/admission/review_of.hpp"
#include "test/server/preparation/world.hpp"

namespace gate::test {

using nlohmann::json;

/// Counts calls; throws or fails on demand.
class WatchedStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  Result<Preparation> create(const Preparation& record, Deadline deadline) override {
    if (auto error = look()) return *error;
    if (create_fault) return *create_fault;
    return ForwardingStore::create(record, deadline);
  }
  Result<Preparation> get(const std::string& name_space, const std::string& name, Deadline deadline) override {
    if (auto error = look()) return *error;
    return ForwardingStore::get(name_space, name, deadline);
  }
  Result<std::vector<Preparation>> list_of_cluster(const std::string& name_space, const std::string& cluster,
                                                   Deadline deadline) override {
    if (auto error = look()) return *error;
    return ForwardingStore::list_of_cluster(name_space, cluster, deadline);
  }
  /// As a store with a watch answers: without bodies, and perhaps not the newest.
  Result<std::vector<Preparation>> known_of_cluster(const std::string& name_space, const std::string& cluster,
                                                    Deadline deadline) override {
    if (auto error = look()) return *error;
    auto records =
        stale ? Result<std::vector<Preparation>>(*stale) : store_.list_of_cluster(name_space, cluster, deadline);
    if (!records) return records;
    std::vector<Preparation> known;
    for (auto& record : *records) known.push_back(without_bodies(std::move(record)));
    return known;
  }
  Result<Preparation> update_status(const Preparation& record, Deadline deadline) override {
    if (auto error = look()) return *error;
    if (!record.key.empty()) throw std::logic_error("a record without its body is written back");
    before_update();
    return ForwardingStore::update_status(record, deadline);
  }

  std::atomic<int> calls{0};
  std::atomic<bool> throws{false};
  std::atomic<bool> unreachable{false};
  std::function<void()> before_update = [] {};    ///< Set before use.
  std::optional<Error> create_fault;              ///< Set before use.
  std::optional<Error> refused;                   ///< Of every call. Set before use.
  std::optional<std::vector<Preparation>> stale;  ///< What is known instead of what is stored. Set before use.

 private:
  std::optional<Error> look() {
    ++calls;
    if (throws) throw std::runtime_error("a bug");
    if (refused) return *refused;
    if (unreachable) return Error{ErrorCode::Unavailable, "connection refused"};
    return std::nullopt;
  }
};

/// The whole of one gate but for its sockets towards clients.
struct Gate {
  World world;
  WatchedStore store{world.store};
  OutcomeWaiters waiters{store};
  Replica replica;
  std::vector<std::string> decisions;
  AdmissionService service;

  explicit Gate(std::chrono::milliseconds wait = kAmple, FrontendSimulatorOptions frontends = {},
                VersionPolicy version_policy = VersionPolicy::Warn)
      : world(std::move(frontends)),
        replica(observed(world, waiters)),
        service({store, world.clusters, replica.controller, waiters, world.clock, world.log},
                {wait, {}, {}, {}, version_policy},
                [this](const ReviewOutcome& outcome) { decisions.push_back(outcome.decision); }) {}
  static World& observed(World& world, OutcomeWaiters& waiters) {
    world.store.observe([&](const Preparation& record, bool removed) { waiters.notify(record, removed); });
    return world;
  }

  /// As the API server sends it: the old object is the one that is stored.
  json review(const json& body, std::string_view path = AdmissionService::kGatePath) {
    const auto& old_object = body.at("request").at("oldObject");
    if (path == AdmissionService::kGatePath && !old_object.is_null()) world.clusters.set_object(old_object);
    return forged(body, path);
  }
  /// Whatever is stored.
  json forged(const json& body, std::string_view path = AdmissionService::kGatePath) {
    const auto reply = service.review(path, body.dump());
    CHECK(reply.status == 200);
    CHECK(reply.content_type == "application/json");
    const auto out = json::parse(reply.body);
    CHECK(out.at("kind") == "AdmissionReview");
    CHECK(out.at("response").at("uid") == body.at("request").at("uid"));
    return out.at("response");
  }
  std::vector<Preparation> records() { return world.store.list_of_cluster("db", "sr", ample()).value(); }
};

inline json configured(const std::string& image, const std::string& hooks = "disable-tablet-clone") {
  auto object = object_with(image);
  object["metadata"]["annotations"] = {{"starrocks.com/upgrade-hooks", hooks}};
  return object;
}

inline json upgrade(bool dry_run = false) { return review_of(configured("fe:1"), configured("fe:2"), dry_run); }

inline std::string message_of(const json& response) { return response.at("status").at("message").get<std::string>(); }

inline json with_config_map(const std::string& image, const std::string& config_map) {
  auto object = object_with(image);
  object["metadata"]["annotations"] = {{"starrocks.com/upgrade-hooks-configmap", config_map}};
  return object;
}

inline std::string scheduling(const std::string& value) { return set_config_sql(kScheduling, value); }

/// The upgrade with an annotation more, on the new object or on both.
inline json annotated(const std::string& key, const std::string& value, bool dry_run = false, bool before = false) {
  auto body = upgrade(dry_run);
  body["request"]["object"]["metadata"]["annotations"][key] = value;
  if (before) body["request"]["oldObject"]["metadata"]["annotations"][key] = value;
  return body;
}

inline json bypassing(bool dry_run = false) {
  return annotated("starrocks.com/upgrade-gate-bypass", "*; reason=disk full; until=2027-01-01T00:00:00Z", dry_run);
}

/// Within a week of what bypassing() says.
inline void set_date(World& world) {
  const auto date = parse_time("2026-12-31T00:00:00Z");
  world.clock.move(*date - world.clock.wall_now());
}

}  // namespace gate::test
