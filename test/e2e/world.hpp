#pragma once
// Stories with pods that roll: a control plane with its controllers, a node, a stand-in for the StarRocks operator, a
// simulated database that lives and dies with the pods, and two replicas of the gate with the rights that are shipped.
//
// One World for a test program (its processes are shared), one Story for each case: a namespace of its own with one
// StarRocksCluster. A case waits for what it wants to see with Story::until, which tells on failure how things stand.
// Not thread safe, except where it is said.

#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "test/e2e/scene.hpp"

namespace gate::test {

/// One line of what happened in a cluster, in order: a pod's "sr-be-2 down", "sr-be-2 up 3.3.1" or "sr-be-2 gone" (kind
/// pod), or a statement that an FE received, "fe-0 ADMIN SET ..." (kind sql).
struct Happening {
  double at = 0;  ///< Seconds since the database began.
  std::string kind;
  std::string what;
};

/// The real operator's resync is 2 minutes. It goes by the events of StatefulSets and reads pods that it may not have
/// seen yet, so that only the next resync makes its status true: too long to wait for where that is not the story.
inline const std::vector<std::string> kOperatorFlags{"--resync=2s"};

class World {
 public:
  /// Made at the first call; ends the test program as skipped, with the reason, where something is missing.
  static World& get();
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  ControlPlane& plane = ControlPlane::get();

  /// How pods whose name contains `match` behave from now on; `query` as "start=never&stop=2s&crash=true".
  void rule(const std::string& match, const std::string& query);
  void clear_rules();

  /// Ends the operator and starts it with other flags ("--write-style=merge", "--resync=2m"). A story begins with
  /// kOperatorFlags.
  void restart_operator(const std::vector<std::string>& flags);
  void stop_operator();

  /// POST, GET or DELETE to the program world; the answer must be good.
  json ask(const std::string& method, const std::string& path, const std::string& body = {});
  /// GET from the API server as the administrator, without a process; nullopt where there is no such object.
  [[nodiscard]] std::optional<json> read(const std::string& path);

  /// Where the webhooks' calls arrive; passed on to the replicas that were named last and accept connections.
  [[nodiscard]] std::uint16_t send_calls_to(const std::vector<std::uint16_t>& gates);
  /// With a token of the gate's service account, made and given its rights by the manifests as shipped.
  [[nodiscard]] std::filesystem::path gate_kubeconfig() const { return plane.file("gate.kubeconfig"); }
  [[nodiscard]] const std::vector<std::string>& operator_flags() const { return operator_flags_; }

 private:
  World();
  void install_gate();

  pid_t world_ = -1;
  pid_t operator_ = -1;
  std::uint16_t port_ = 0;
  std::string token_;
  std::vector<std::string> operator_flags_;
};

struct StoryOptions {
  json annotations = json::object();
  std::size_t frontends = 1;
  std::size_t backends = 3;
  std::size_t compute_nodes = 0;
  std::string version = "3.3.0";
  std::size_t gates = 2;
  std::vector<std::string> gate_flags{};
  /// How long the other FEs list a dead FE as alive: 15 to 25 s on a real one, which most stories do not wait for.
  std::chrono::seconds liveness_lag{0};
  bool may_be_led = false;  ///< The namespace has the label for led rollouts.
};

/// What a change of images is: {"fe", "3.3.1"} makes the FE's image starrocks/fe-ubuntu:3.3.1.
using Images = std::map<std::string, std::string>;

class Story {
 public:
  /// Makes the namespace `name` with the cluster "sr" and waits until the operator calls it running.
  explicit Story(const std::string& name, StoryOptions options);
  /// Ends the gates and takes everything away, whatever is still pending.
  ~Story();
  Story(const Story&) = delete;
  Story& operator=(const Story&) = delete;

  // What people do.
  ProcessResult kubectl(std::vector<std::string> arguments, const RunOptions& options = {});
  /// As kubectl(), and it must work.
  std::string must(std::vector<std::string> arguments, const RunOptions& options = {});
  ProcessResult patch(const Images& images, const std::vector<std::string>& more = {});
  /// Repeats the same patch, as a person or GitOps does, until it is admitted.
  void patch_until_admitted(const Images& images);
  /// The cluster object as it was applied first.
  [[nodiscard]] json first_cluster() const;

  // How things stand.
  [[nodiscard]] std::optional<json> object(const std::string& resource, const std::string& name);
  [[nodiscard]] json cluster();
  /// All records in the namespace, oldest first.
  [[nodiscard]] std::vector<json> records();
  /// The newest record's status; empty without one.
  [[nodiscard]] json newest();
  /// Names and images of a component's pods that are ready.
  [[nodiscard]] std::map<std::string, std::string> ready_pods(const std::string& component);
  /// Whether the StatefulSet (sr-fe, sr-be, ...) has only ready pods of this version.
  [[nodiscard]] bool rolled(const std::string& stateful_set, const std::string& version);
  /// The setting on each FE, as the FE has it in memory now.
  [[nodiscard]] std::vector<std::string> config(const std::string& key);
  /// Whether each FE has this value.
  [[nodiscard]] bool everywhere(const std::string& key, const std::string& value);
  [[nodiscard]] std::vector<Happening> timeline();
  /// Pods in the order in which they came back, from entry `from` of the timeline on: "sr-be-2", "sr-be-1", ...
  [[nodiscard]] std::vector<std::string> restarts(std::size_t from = 0);
  /// resourceVersion of the cluster, its StatefulSets and records: equal twice means that nobody wrote in between.
  [[nodiscard]] std::map<std::string, std::string> resource_versions();

  /// How often the operator has looked at the cluster since it started.
  [[nodiscard]] std::size_t operator_passes();

  /// A command of fe-simulator ("fail-login 1045:28000:no", "clear").
  void database(const std::string& command);

  // Waiting. `what` completes "until ...".
  void until(const std::string& what, const std::function<bool()>& condition,
             std::chrono::seconds patience = kPatience);
  /// Fails as soon as `never` is true, and when `condition` does not come.
  void until_without(const std::string& what, const std::function<bool()>& condition, const std::string& harm,
                     const std::function<bool()>& never, std::chrono::seconds patience = kPatience);
  [[nodiscard]] std::string how_things_stand();

  // The gates.
  [[nodiscard]] GateProcess& gate(std::size_t replica) { return *gates_.at(replica); }
  void kill_gate(std::size_t replica);
  void start_gate(std::size_t replica);

  World& world = World::get();
  [[nodiscard]] const std::string& name_space() const { return name_; }

 private:
  [[nodiscard]] std::string path(const std::string& resource, const std::string& name) const;
  void pass_calls_on();

  const std::string name_;
  const StoryOptions options_;
  std::string frontend_address_;
  std::vector<std::unique_ptr<GateProcess>> gates_;
};

}  // namespace gate::test
