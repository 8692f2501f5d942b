#pragma once
// A cluster in one process and one thread, small enough for tens of thousands of stories: an object, an operator,
// pods that roll one by one, one FE that keeps settings in memory, records, and the gate's own code over them.

#include <spdlog/logger.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "policy/decision/decision.hpp"
#include "policy/hooks/sql.hpp"
#include "policy/record/history.hpp"
#include "policy/versions/version.hpp"
#include "server/memory/memory_preparation_store.hpp"
#include "server/memory/memory_script_jobs.hpp"
#include "server/preparation/lifecycle/record_lifecycle.hpp"
#include "test/fakes/forwarding_store.hpp"

namespace gate::test {

inline const std::map<std::string, std::string> kOriginal = {{"tablet_sched_max_scheduling_tablets", "10000"},
                                                             {"disable_balance", "false"}};

/// Moves on a little whenever it is asked, so that nothing waits for ever on what does not come.
class TickingClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady_now() const override { return SteadyTime{} + (steady_ += std::chrono::seconds(1)); }
  [[nodiscard]] WallTime wall_now() const override { return WallTime{std::chrono::seconds(1'800'000'000)} + wall_; }
  void move(std::chrono::seconds by) { wall_ += by; }

 private:
  mutable std::chrono::seconds steady_{1};
  std::chrono::seconds wall_{0};
};

/// No story has HTTP hooks.
class NoHttp final : public HttpCaller {
 public:
  Result<HttpCallReply> post(const HttpCallRequest&, Deadline) override {
    return Error{ErrorCode::Unavailable, "nobody"};
  }
  void interrupt() override {}
};

/// The store of a gate that dies after some calls: none gets through any more.
class DyingStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  int calls_left = -1;  ///< -1: it lives.

 private:
  std::optional<Error> around(const StoreCall& call, const std::function<void()>& make) override {
    if (calls_left == 0) return Error{ErrorCode::Unavailable, "dead"};
    if (calls_left > 0) --calls_left;
    return ForwardingStore::around(call, make);
  }
};

struct StoryPod {
  std::string image;
  int started = 0;
  bool stuck = false;  ///< It does not come up, whatever its image.
};

/// Pods of one component.
struct StoryStatefulSet {
  std::string image;  ///< Of the template.
  std::vector<StoryPod> pods;
};

/// A tag that ends in "x" never starts.
inline bool works(const std::string& image) { return !image.ends_with('x'); }
/// As a node prints it: by a tag that names one.
inline std::string version_told(const std::string& image) {
  const auto version = version_of_image(image);
  return version ? image.substr(image.find(':') + 1) : "main";
}
inline bool is_up(const StoryPod& pod) { return works(pod.image) && !pod.stuck; }

class StoryWorld : public ClusterAccess, public FrontendConnector {
 public:
  StoryWorld() { be.pods.resize(2, {"be:a"}); }

  // ---- What happens ----
  void operator_pass() {
    if (!exists) return;
    fe.image = images.at(Component::Frontend);
    be.image = images.at(Component::Backend);
  }
  /// One pod that is not of its template starts anew, the next one waits for it; as StatefulSets do, but for a pod that
  /// does not come up, which is replaced.
  void roll_one_pod() {
    for (auto* set : {&fe, &be}) {
      for (auto& pod : set->pods) {
        if (pod.image == set->image) {
          if (!works(pod.image)) break;
          continue;
        }
        pod = {set->image, ++starts};
        if (set == &fe) settings = kOriginal;  // they lived in its memory
        return;
      }
    }
  }
  void frontend_restarts() {
    fe.pods.front().started = ++starts;
    settings = kOriginal;
  }
  [[nodiscard]] bool frontend_up() const { return !frontend_crashed && is_up(fe.pods.front()); }

  [[nodiscard]] static bool stands(const StoryStatefulSet& set, const std::string& image) {
    return set.image == image && std::all_of(set.pods.begin(), set.pods.end(),
                                             [&](const StoryPod& pod) { return pod.image == image && is_up(pod); });
  }
  [[nodiscard]] const StoryStatefulSet& set_of(Component component) const {
    return component == Component::Frontend ? fe : be;
  }
  [[nodiscard]] bool has_to_move(Component component) const {
    const auto& set = set_of(component);
    return std::any_of(set.pods.begin(), set.pods.end(),
                       [&](const StoryPod& pod) { return pod.image != images.at(component); });
  }

  // ---- ClusterAccess ----
  Result<FrontendAccess> frontend_access(const std::string&, const std::string&, Deadline) override {
    return FrontendAccess{};
  }
  Result<nlohmann::json> get_object(const std::string&, const ObjectRef&, Deadline) override {
    if (!exists) return Error{ErrorCode::NotFound, "gone"};
    return object();
  }
  [[nodiscard]] nlohmann::json object() const {
    return {{"kind", "StarRocksCluster"},
            {"metadata", {{"namespace", "db"}, {"name", "sr"}, {"uid", uid}}},
            {"spec",
             {{"starRocksFeSpec", {{"image", images.at(Component::Frontend)}}},
              {"starRocksBeSpec", {{"image", images.at(Component::Backend)}}}}}};
  }
  Result<std::map<std::string, std::string>> config_map(const std::string&, const std::string&, Deadline) override {
    return Error{ErrorCode::NotFound, "none"};
  }
  Result<std::string> secret_value(const std::string&, const std::string&, const std::string&, Deadline) override {
    return Error{ErrorCode::NotFound, "none"};
  }
  Result<bool> may(const UserInfo&, std::string_view, const std::string&, Deadline) override { return true; }
  Result<RolloutState> rollout_state(const Preparation&, const RolloutGoal& goal, Deadline) override {
    RolloutState state{true, "", false, true, {}};
    for (const auto& wanted : goal.images) {
      const auto& image = wanted.image;
      const auto& set = set_of(wanted.component);
      state.begun = state.begun || set.image == image;
      const bool settled = set.image == image && std::all_of(set.pods.begin(), set.pods.end(),
                                                             [&](const auto& pod) { return pod.image == image; });
      state.settled = state.settled && settled;
      state.finished = state.finished && stands(set, image);
    }
    if (!state.finished) state.waiting_for = "pods";
    return state;
  }
  Result<FrontendLife> frontend_life(const std::string&, const std::string&, Deadline) override {
    return FrontendLife::MayLive;  // deleted objects leave their pods here
  }
  Status mirror_status(const Preparation&, Deadline) override { return Ok{}; }
  void emit_event(const Preparation&, bool, const std::string&, const std::string&) override {}

  // ---- FrontendConnector ----
  Result<std::unique_ptr<FrontendSession>> connect(const FrontendAccess&, Deadline) override {
    if (!frontend_up()) return Error{ErrorCode::Unavailable, "connection refused"};
    return std::unique_ptr<FrontendSession>(std::make_unique<Session>(*this));
  }
  void interrupt() override {}

  std::map<Component, std::string> images = {{Component::Frontend, "fe:a"}, {Component::Backend, "be:a"}};
  std::string uid = "uid-1";
  bool exists = true;
  StoryStatefulSet fe{"fe:a", {{"fe:a"}}};
  StoryStatefulSet be{"be:a", {}};
  int starts = 0;
  bool frontend_crashed = false;
  bool refuses_sets = false;
  std::map<std::string, std::string> settings = kOriginal;
  std::function<void(const std::string& key, const std::string& value)> on_set = [](const auto&, const auto&) {};

 private:
  class Session final : public FrontendSession {
   public:
    explicit Session(StoryWorld& world) : world_(world) {}
    Result<QueryResult> execute(std::string_view sql, Deadline) override {
      if (!world_.frontend_up()) return Error{ErrorCode::Unavailable, "connection reset"};
      if (world_.refuses_sets && sql.starts_with("ADMIN SET")) return Error{ErrorCode::Rejected, "not now", 1064};
      return world_.answer(std::string(sql));
    }

   private:
    StoryWorld& world_;
  };

  QueryResult answer(std::string sql) {
    std::erase(sql, '\\');  // LIKE patterns
    const auto cell = [](const std::string& text) { return std::optional<std::string>(text); };
    QueryResult out;
    if (sql == "SHOW FRONTENDS") {
      out.columns = {"Name", "IP", "QueryPort", "Role", "Alive", "StartTime", "Version"};
      out.rows = {{cell("sr-fe-0.sr-fe-search_9010_1"), cell("fe"), cell("9030"), cell("LEADER"), cell("true"),
                   cell(std::to_string(fe.pods.front().started)), cell(version_told(fe.pods.front().image))}};
      return out;
    }
    if (sql == "SHOW BACKENDS") {
      out.columns = {"BackendId", "IP", "HeartbeatPort", "Alive", "LastStartTime", "Version"};
      for (std::size_t i = 0; i < be.pods.size(); ++i) {
        out.rows.push_back({cell(std::to_string(i)), cell("sr-be-" + std::to_string(i) + ".sr-be-search"), cell("9050"),
                            cell(is_up(be.pods[i]) ? "true" : "false"), cell(std::to_string(be.pods[i].started)),
                            cell(version_told(be.pods[i].image))});
      }
      return out;
    }
    if (sql == "SHOW COMPUTE NODES") {
      out.columns = {"ComputeNodeId", "IP", "HeartbeatPort", "Alive", "LastStartTime", "Version"};
      return out;
    }
    for (auto& [key, value] : settings) {
      if (sql.find(key) == std::string::npos) continue;
      if (sql.starts_with("ADMIN SET")) {
        const auto end = sql.rfind('"');
        const auto begin = sql.rfind('"', end - 1);
        value = sql.substr(begin + 1, end - begin - 1);
        on_set(key, value);
        return out;
      }
      out.columns = {"Key", "Value", "Type", "IsMutable"};
      out.rows.push_back(
          {cell(key), cell(value), cell(value == "true" || value == "false" ? "boolean" : "int"), cell("true")});
      return out;
    }
    return out;
  }
};

}  // namespace gate::test
