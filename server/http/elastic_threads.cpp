#include "server/http/elastic_threads.hpp"

#include <exception>
#include <utility>

namespace gate::http {

/// Threads that have left work(). Joined whatever happens: the destructor of one that is not ends the process.
class ElasticThreads::Finished {
 public:
  Finished() = default;
  Finished(const Finished&) = delete;
  Finished& operator=(const Finished&) = delete;
  ~Finished() {
    for (auto& thread : threads_) thread.join();
  }
  void take(Threads& finished) { threads_.swap(finished); }

 private:
  Threads threads_;
};

ElasticThreads::ElasticThreads(std::size_t threads_max, std::chrono::milliseconds linger)
    : threads_max_(threads_max), linger_(linger) {}

ElasticThreads::~ElasticThreads() { join(); }

bool ElasticThreads::add(std::function<void()> job, bool may_queue) {
  Finished finished;  // Outside the lock, also where there is no memory for the job.
  bool accepted = true;
  {
    const auto state = state_.lock();
    finished.take(state->finished);
    state->jobs.push_back(std::move(job));
    // A woken thread counts as idle until it runs: comparing with the queue, not with zero, is what keeps a burst from
    // waiting for threads that are already taken.
    if (state->jobs.size() > state->idle && state->running.size() < threads_max_) {
      auto self = state->running.end();
      try {
        self = state->running.emplace(state->running.end());
        *self = std::thread([this, self] { work(self); });
      } catch (const std::exception&) {  // No thread, or no memory.
        if (self != state->running.end()) state->running.erase(self);
        if (state->running.empty() || !may_queue) {
          state->jobs.pop_back();
          accepted = false;
        }
      }
    }
  }
  wake_.notify_one();
  return accepted;
}

void ElasticThreads::join() {
  Finished finished;
  auto state = state_.lock();
  state->closing = true;
  wake_.notify_all();
  state.wait(ended_, [](const State& now) { return now.running.empty(); });
  finished.take(state->finished);
}

void ElasticThreads::work(Threads::iterator self) {
  auto state = state_.lock();
  for (;;) {
    ++state->idle;
    const auto lingered = std::chrono::steady_clock::now() + linger_;
    const bool woken =
        state.wait_until(wake_, lingered, [](const State& now) { return now.closing || !now.jobs.empty(); });
    --state->idle;
    if (state->jobs.empty() && (state->closing || !woken)) break;
    auto job = std::move(state->jobs.front());
    state->jobs.pop_front();
    state.release_for([&] {
      job();
      job = nullptr;  // What it holds is released outside the lock.
    });
  }
  state->finished.splice(state->finished.end(), state->running, self);
  ended_.notify_all();
}

}  // namespace gate::http
