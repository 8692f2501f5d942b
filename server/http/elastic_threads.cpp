#include "server/http/elastic_threads.hpp"

#include <exception>
#include <utility>

namespace gate::http {

ElasticThreads::ElasticThreads(std::size_t threads_max, std::chrono::milliseconds linger)
    : threads_max_(threads_max), linger_(linger) {}

ElasticThreads::~ElasticThreads() { join(); }

bool ElasticThreads::add(std::function<void()> job, bool may_queue) {
  Threads finished;
  bool accepted = true;
  {
    const std::lock_guard lock(mutex_);
    finished.swap(finished_);
    jobs_.push_back(std::move(job));
    // A woken thread counts as idle until it runs: comparing with the queue, not with zero, is what keeps a burst from
    // waiting for threads that are already taken.
    if (jobs_.size() > idle_ && running_.size() < threads_max_) {
      auto self = running_.end();
      try {
        self = running_.emplace(running_.end());
        *self = std::thread([this, self] { work(self); });
      } catch (const std::exception&) {  // No thread, or no memory.
        if (self != running_.end()) running_.erase(self);
        if (running_.empty() || !may_queue) {
          jobs_.pop_back();
          accepted = false;
        }
      }
    }
  }
  wake_.notify_one();
  for (auto& thread : finished) thread.join();
  return accepted;
}

void ElasticThreads::join() {
  Threads finished;
  {
    std::unique_lock lock(mutex_);
    closing_ = true;
    wake_.notify_all();
    ended_.wait(lock, [this] { return running_.empty(); });
    finished.swap(finished_);
  }
  for (auto& thread : finished) thread.join();
}

void ElasticThreads::work(Threads::iterator self) {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    const bool woken = wake_.wait_for(lock, linger_, [this] { return closing_ || !jobs_.empty(); });
    --idle_;
    if (jobs_.empty() && (closing_ || !woken)) break;
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // What it holds is released outside the lock.
    lock.lock();
  }
  finished_.splice(finished_.end(), running_, self);
  ended_.notify_all();
}

}  // namespace gate::http
