#pragma once
// Keeps `.status.conditions` and `.status.observedGeneration` of StarRocksClusters true
// (policy/rollout/cluster_conditions.hpp), and writes a mirror again that somebody erased (policy/rollout/mirror.hpp).
// Level-triggered: whatever moved, the live object and the records decide.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "policy/hooks/led_rollout.hpp"
#include "server/base/guarded.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/ports/preparation_store.hpp"

namespace gate {

/// By which objects ask, as in HookSources.
struct ConditionOptions {
  std::vector<std::string> default_hooks{};
  LedRollout rollout_defaults{};
};

/// Thread safe. All replicas write, each by compare-and-set: who comes second finds nothing left to say.
class ConditionWriter {
 public:
  /// All outlive this.
  ConditionWriter(PreparationStore& store, ClusterAccess& clusters, const Clock& clock, ConditionOptions options)
      : store_(store), clusters_(clusters), clock_(clock), options_(std::move(options)) {}

  /// The cluster, or one of its records, was written: flush() looks at it once `delay` is over.
  void changed(const std::string& name_space, const std::string& cluster, std::chrono::milliseconds delay = {});

  /// The watch has told of the cluster at this version; empty: it is gone, or the version is not known.
  void told(const std::string& name_space, const std::string& cluster, const std::string& version);
  /// The cluster as it was read a moment ago. It is not read again for as long as the watch tells of no newer one, and
  /// a read of its own might take; what is written is written on top of that version.
  void has_read(const std::string& name_space, const std::string& cluster,
                std::shared_ptr<const nlohmann::json> object);
  /// Whether the watch tells of the cluster, and of no newer version than `object`.
  [[nodiscard]] bool is_newest(const std::string& name_space, const std::string& cluster,
                               const nlohmann::json& object) const;
  /// Whether nobody but this has written the cluster ("namespace/name") since `version`, as far as the watch tells.
  [[nodiscard]] bool only_ours_since(const std::string& key, const std::string& version) const;

  /// Looks at what is due, at a few clusters at most, and writes where something is not true. Blocks while it does.
  /// Passes over those that are `busy` ("namespace/name"). What was written and is gone again (a CRD without the
  /// fields; a status PUT of the operator that the webhook on it did not see) is written again after pauses that
  /// double: the operator answers each write with a pass. A new cluster, whose status the CRD does not take before the
  /// operator has written its own, is looked at when it changes.
  void flush(const std::function<bool(const std::string& key)>& busy);

  /// Writes the mirror of `record`, its cluster's newest state, and the conditions that go with it in one request.
  [[nodiscard]] Status write_with(const Preparation& record, Deadline deadline);

 private:
  struct Seen;
  struct Wanted;
  struct Written {
    std::string text;  ///< Without times.
    SteadyTime again{};
    std::chrono::seconds pause{};
  };
  struct Read {
    std::shared_ptr<const nlohmann::json> object;
    SteadyTime counts_until{};
  };
  /// Each by "namespace/name".
  struct State {
    std::map<std::string, SteadyTime> due;                ///< From when on.
    std::map<std::string, Written> written;               ///< Of clusters that have been written to.
    std::map<std::string, SteadyTime> missing_since;      ///< Mirrors.
    std::map<std::string, std::string> newest;            ///< Versions that the watch told of.
    std::map<std::string, Read> read;                     ///< A moment ago.
    std::map<std::string, std::vector<std::string>> own;  ///< Versions: one, and what own writes made of it in turn.
  };

  /// The live object and what is known of its records. NotFound: there is no such cluster.
  [[nodiscard]] Result<Seen> see(const std::string& name_space, const std::string& cluster, Deadline deadline);
  /// As it was read a moment ago, and is still; null: it is to be read.
  [[nodiscard]] std::shared_ptr<const nlohmann::json> at_hand(const std::string& key) const;
  /// Writes `fields` on top of what was seen.
  [[nodiscard]] Status write_on(const std::string& key, const Seen& seen, const nlohmann::json& fields,
                                Deadline deadline);
  [[nodiscard]] Wanted conditions_of(const Seen& seen) const;
  /// missing_mirror(), where it has been missing for a while; else looks again when it has, if it still is.
  [[nodiscard]] const Preparation* missing_for_long(const std::string& key, const Seen& seen, const Wanted& wanted);
  /// One look at a cluster, and the write that follows.
  [[nodiscard]] Status look(const std::string& key, Deadline deadline);
  /// The same was written a moment ago, and is not there: looks again later.
  [[nodiscard]] bool is_too_early(const std::string& key, const std::string& text);
  [[nodiscard]] Status write(const std::string& key, const Seen& seen, const Wanted& wanted, Deadline deadline);
  [[nodiscard]] Status write_with(const Preparation& record, const Seen& seen, Deadline deadline);

  PreparationStore& store_;
  ClusterAccess& clusters_;
  const Clock& clock_;
  const ConditionOptions options_;
  Guarded<State> state_;
};

}  // namespace gate
