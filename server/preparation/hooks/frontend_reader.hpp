#pragma once
// What an admission that is being answered wants to know from a cluster's FEs. Asked on threads of its own, one
// question per cluster at a time, so that an FE that hangs costs its asker the wait that was agreed, and the others
// nothing.

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "policy/decision/decision.hpp"
#include "policy/versions/upgrade_path.hpp"
#include "server/base/guarded.hpp"
#include "server/base/log.hpp"
#include "server/preparation/frontends/frontend_fleet.hpp"
#include "server/preparation/hooks/hook_runner.hpp"

namespace gate {

/// What the questions of one admission about one cluster have in common: the object that it has read, and the session
/// that the first of them began. Held by who asks and, until it is answered, by each question; who means to wait lets
/// it go first, for a login that is limited to one session would keep out the hooks.
struct FrontendInquiry {
  nlohmann::json object;               ///< The StarRocksCluster as get_object() gave it out; null: not read.
  bool wants_versions = false;         ///< read_back() is to bring what running_nodes() asks for.
  std::optional<FrontendFleet> fleet;  ///< Of the thread that answers, one at a time.
  /// Of the thread that asks: what read_back() has brought.
  std::optional<std::vector<RunningNode>> running;
};

/// Thread safe. Nothing is ever written, to a record or to an FE. Queue and threads are bounded: beyond the queue the
/// answer is "not done" at once. stop() before the destructor, which expects that nobody asks any more.
class FrontendReader {
 public:
  /// All but the options must outlive this.
  FrontendReader(const HookPeers& peers, const Clock& clock, Logger& log) : peers_(peers), clock_(clock), log_(log) {}

  /// From now on threads are started as they are needed; what was asked before waits for it.
  void start();
  /// Nothing is begun any more. Questions under way end soon if the connector is interrupted.
  void request_stop();
  /// request_stop(), joins, and answers who still waits with nothing. From then on nothing is answered.
  void stop();

  /// Reads the settings of `record` back from every alive FE. Blocks until the answer or `deadline`. NotDone: not in
  /// time, or too many at once. `inquiry` may be shared with other questions about the same cluster; null: none.
  [[nodiscard]] ReadBack read_back(const Preparation& record, Deadline deadline,
                                   std::shared_ptr<FrontendInquiry> inquiry = nullptr);

  /// The versions that the cluster's alive nodes report. Blocks until the answer or `deadline`; empty when the FE did
  /// not tell in time. `inquiry`: as above.
  [[nodiscard]] std::vector<RunningNode> running_nodes(const std::string& name_space, const std::string& cluster,
                                                       Deadline deadline,
                                                       std::shared_ptr<FrontendInquiry> inquiry = nullptr);

 private:
  struct Question {
    std::string cluster;  ///< "namespace/name"
    /// Finds an answer for somebody who waits, or none at once when the token is stopped. Called exactly once.
    std::function<void(const std::stop_token&)> find;
  };
  struct State {
    bool started = false;
    std::list<Question> questions;
    std::list<Question> asked;          ///< By a thread each; one about a cluster at a time.
    std::size_t idle = 0;               ///< Threads that wait for a question.
    std::vector<std::jthread> threads;  ///< As many as were needed at once, up to the bound.

    [[nodiscard]] bool is_asked(const std::string& cluster) const;
  };

  struct LookedBack {
    ReadBack found = ReadBack::NotDone;
    std::optional<std::vector<RunningNode>> running;  ///< Where the inquiry wants it and the settings hold.
  };

  void answer(const std::stop_token& stop);
  [[nodiscard]] LookedBack look_back(const Preparation& record, FrontendInquiry& inquiry, Deadline deadline);
  /// Of `inquiry`, begun where that is the first question. Error: the FE's address or login is not known.
  [[nodiscard]] Result<FrontendFleet*> fleet_of(FrontendInquiry& inquiry, const std::string& name_space,
                                                const std::string& cluster, Deadline deadline);
  /// One more where a question waits and nobody is free for it.
  void grow(State& state);
  /// What `look` finds on a thread of ours by `deadline`; else an empty answer.
  template <class Answer>
  [[nodiscard]] Answer ask(const std::string& cluster, Deadline deadline,
                           std::function<Answer(const std::stop_token&)> look);

  const HookPeers peers_;
  const Clock& clock_;
  Logger& log_;

  std::condition_variable_any asked_;
  std::stop_source stopping_;  // requested before what is left of the questions is answered
  Guarded<State> state_;       // last: its threads are joined before what they use is gone
};

}  // namespace gate
