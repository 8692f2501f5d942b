#pragma once
// `.status.upgradePreparationStatus` of the StarRocksCluster: a copy of the record for people, written behind it.
// Of several records of one cluster the newest open one speaks; one that closes while another is open says nothing any
// more, and the one that is left says its own again (ADR 107). What is erased meanwhile the ConditionWriter finds.
// A record of a StarRocksWarehouse is shown there as well, so that its operator goes on at each step (ADR 135).

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "policy/rollout/mirror.hpp"
#include "server/base/guarded.hpp"
#include "server/ports/cluster_access.hpp"
#include "server/preparation/notices/condition_writer.hpp"

namespace gate {

/// Thread safe. Newer states of a record overtake older ones that are not written yet.
class StatusMirror {
 public:
  /// All outlive this. `conditions`: written together with the mirror; null: there are none.
  StatusMirror(ClusterAccess& clusters, const Clock& clock, ConditionWriter* conditions = nullptr)
      : clusters_(clusters), clock_(clock), conditions_(conditions) {}

  /// While an admission of a cluster, or of one of its warehouses, is being answered none of them is written. Once it
  /// was admitted, the object is about to be written and looked at, which has more to say: that is waited for, too.
  class AnsweringScope {
   public:
    AnsweringScope(StatusMirror& mirror, std::string cluster);
    ~AnsweringScope();
    void admitted() { admitted_ = true; }
    AnsweringScope(const AnsweringScope&) = delete;
    AnsweringScope& operator=(const AnsweringScope&) = delete;

   private:
    StatusMirror& mirror_;
    const std::string cluster_;  // "namespace/name"
    bool admitted_ = false;
  };

  /// Whether an admission of the cluster ("namespace/name") is being answered, or what follows is waited for.
  [[nodiscard]] bool answering(const std::string& cluster);
  /// A record as the watch tells it, whoever works on it; `removed`: it is gone. Decides which one speaks.
  void saw(const Preparation& record, bool removed);
  /// The cluster as it was read a moment ago: what is written next is written on top of it, where nobody else has
  /// written since.
  void has_read(const std::string& name_space, const std::string& cluster,
                std::shared_ptr<const nlohmann::json> object) {
    all_.lock()->admitted.erase(name_space + "/" + cluster);
    if (conditions_ != nullptr) conditions_->has_read(name_space, cluster, std::move(object));
  }
  /// See ConditionWriter. False where there are no conditions.
  [[nodiscard]] bool is_newest(const std::string& name_space, const std::string& cluster,
                               const nlohmann::json& object) const {
    return conditions_ != nullptr && conditions_->is_newest(name_space, cluster, object);
  }
  /// Writes the state of `record` now where it speaks and that is allowed, otherwise at a later flush(). Blocks while
  /// it writes.
  void want(const Preparation& record);
  /// Writes what is due. Blocks while it writes.
  void flush();
  /// The record is closed; what is due of it is still written. Or it was `removed`: then it is not.
  void forget(const Preparation& record, bool removed);

 private:
  /// Of one record on one object.
  struct Slot {
    std::string record;  ///< "namespace/name"
    std::string object;  ///< See shown_on().

    friend bool operator<(const Slot& left, const Slot& right) {
      return std::tie(left.record, left.object) < std::tie(right.record, right.object);
    }
  };
  struct State {
    std::string written;                          ///< What the object's status was last told.
    std::shared_ptr<const Preparation> to_write;  ///< Not told yet.
    bool writing = false;                         ///< A newer state waits, or it could be overtaken.
    SteadyTime not_before{};                      ///< The last try failed.
    bool closed = false;                          ///< The entry goes when nothing is due any more.
    bool removed = false;                         ///< The record is: nothing is due.
  };

  /// The open records that have something to say, by "namespace/name".
  using Speakers = std::map<std::string, Speaker>;

  struct All {
    std::map<Slot, State> states;
    std::multiset<std::string> answering;        ///< Clusters.
    std::map<std::string, SteadyTime> admitted;  ///< Clusters, and until when the look at what follows is waited for.
    std::map<std::string, Speakers> open;        ///< By object.

    [[nodiscard]] bool is_answering(const std::string& cluster, SteadyTime now) const;
    [[nodiscard]] bool speaks(const Preparation& record, const std::string& object) const;
    void saw(const Preparation& record, const std::string& object, bool removed);
    void want(const Preparation& record, const std::string& object);
    /// Erases the entry when nothing more will come of it.
    void drop_if_done(std::map<Slot, State>::iterator entry);
  };

  [[nodiscard]] Status write(const Preparation& record, const std::string& object);

  ClusterAccess& clusters_;
  const Clock& clock_;
  ConditionWriter* const conditions_;
  Guarded<All> all_;
};

}  // namespace gate
