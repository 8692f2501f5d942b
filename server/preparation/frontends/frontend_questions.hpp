#pragma once
// What an admission that is being answered wants to know from a cluster's FEs. Asked on threads of its own, so that an
// FE that hangs costs its asker the wait that was agreed, and the others nothing.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "policy/decision/decision.hpp"
#include "policy/versions/upgrade_path.hpp"
#include "server/ports/preparation_store.hpp"
#include "server/preparation/hooks/hook_runner.hpp"

namespace spdlog {
class logger;
}

namespace gate {

/// Thread safe. Nothing is ever written, to a record or to an FE. The queue is bounded: beyond it the answer is "not
/// done" at once. stop() before the destructor, which expects that nobody asks any more.
class FrontendQuestions {
 public:
  /// All but the options must outlive this.
  FrontendQuestions(PreparationStore& store, const HookPeers& peers, const Clock& clock, spdlog::logger& log,
                    const HookRunnerOptions& options)
      : store_(store), peers_(peers), clock_(clock), log_(log), options_(options) {}

  /// Starts the threads; what was asked before waits for them.
  void start();
  /// Nothing is begun any more. Questions under way end soon if the connector is interrupted.
  void request_stop();
  /// request_stop(), joins, and answers who still waits with nothing. From then on nothing is answered.
  void stop();

  /// Reads the settings of `record` back from every alive FE. Blocks until the answer or `deadline`. NotDone: not in
  /// time, or too many at once.
  [[nodiscard]] ReadBack read_back(const Preparation& record, Deadline deadline);

  /// The versions that the cluster's alive nodes report. Blocks until the answer or `deadline`; empty when the FE did
  /// not tell in time.
  [[nodiscard]] std::vector<RunningNode> running_nodes(const std::string& name_space, const std::string& cluster,
                                                       Deadline deadline);

 private:
  /// Finds an answer for somebody who waits, or none at once when the token is stopped. Called exactly once.
  using Question = std::function<void(const std::stop_token&)>;

  void answer(const std::stop_token& stop);
  /// What `look` finds on a thread of ours by `deadline`; else an empty answer.
  template <class Answer>
  [[nodiscard]] Answer ask(Deadline deadline, std::function<Answer(const std::stop_token&)> look);

  PreparationStore& store_;
  const HookPeers peers_;
  const Clock& clock_;
  spdlog::logger& log_;
  const HookRunnerOptions options_;

  std::mutex mutex_;
  std::condition_variable_any asked_;  // with mutex_
  std::deque<Question> questions_;     // guarded by mutex_
  std::stop_source stopping_;          // requested before what is left in questions_ is answered

  std::vector<std::jthread> threads_;  // last: joined before what they use is gone
};

}  // namespace gate
