#pragma once
// Threads that start when work is waiting and nobody is free for it.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <thread>
#include <utility>

#include "server/base/guarded.hpp"

namespace gate::http {

/// Thread safe. Jobs must not throw.
class ElasticThreads {
 public:
  /// A thread that had nothing to do for `linger` ends.
  ElasticThreads(std::size_t threads_max, std::chrono::milliseconds linger);
  /// join().
  ~ElasticThreads();
  ElasticThreads(const ElasticThreads&) = delete;
  ElasticThreads& operator=(const ElasticThreads&) = delete;

  /// Never blocks for longer than starting a thread. With threads_max at work the job waits for one of them. False if
  /// nobody is free and no thread can be started: the job will not run. Throws std::bad_alloc where there is no memory
  /// for the job, which then will not run either.
  [[nodiscard]] bool run(std::function<void()> job) { return add(std::move(job), false); }
  /// As run(), for jobs that never wait: where no thread can be started they come after those that are at work. False
  /// if there is none.
  [[nodiscard]] bool run_in_turn(std::function<void()> job) { return add(std::move(job), true); }

  /// Waits until every job is done. run() must not be called any more.
  void join();

 private:
  using Threads = std::list<std::thread>;
  class Finished;
  struct State {
    std::deque<std::function<void()>> jobs;
    std::size_t idle = 0;
    bool closing = false;
    Threads running;
    Threads finished;  ///< Have left work(), or are about to; still to be joined.
  };
  bool add(std::function<void()> job, bool may_queue);
  void work(Threads::iterator self);

  const std::size_t threads_max_;
  const std::chrono::milliseconds linger_;

  Guarded<State> state_;
  std::condition_variable wake_;
  std::condition_variable ended_;
};

}  // namespace gate::http
