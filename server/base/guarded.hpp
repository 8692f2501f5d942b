#pragma once
// State that cannot be reached without its lock: what "guarded by mutex_" says, the compiler checks.

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <utility>

namespace gate {

/// Access to a Guarded's value for as long as it lives. Belongs to one thread; keep it short, and call nothing foreign
/// meanwhile.
template <class T>
class Locked {
 public:
  Locked(std::mutex& mutex, T& value) : lock_(mutex), value_(&value) {}

  T& operator*() const { return *value_; }
  T* operator->() const { return value_; }

  /// Lets others in while it waits; `is_met` gets the value.
  template <class Condition>
  void wait(std::condition_variable& changed, Condition is_met) {
    changed.wait(lock_, [&] { return is_met(std::as_const(*value_)); });
  }
  /// False: the time is over and `is_met` says no still.
  template <class Time, class Condition>
  bool wait_until(std::condition_variable& changed, const Time& deadline, Condition is_met) {
    return changed.wait_until(lock_, deadline, [&] { return is_met(std::as_const(*value_)); });
  }
  /// The same two, which a stop ends, too. False: `is_met` says no still.
  template <class Condition>
  bool wait(std::condition_variable_any& changed, const std::stop_token& stop, Condition is_met) {
    return changed.wait(lock_, stop, [&] { return is_met(std::as_const(*value_)); });
  }
  template <class Time, class Condition>
  bool wait_until(std::condition_variable_any& changed, const std::stop_token& stop, const Time& deadline,
                  Condition is_met) {
    return changed.wait_until(lock_, stop, deadline, [&] { return is_met(std::as_const(*value_)); });
  }

  /// Runs `work` while others are let in: what was seen of the value before may not hold afterwards.
  template <class Work>
  void release_for(const Work& work) {
    struct Released {
      explicit Released(std::unique_lock<std::mutex>& lock) : held(lock) { held.unlock(); }
      ~Released() { held.lock(); }
      Released(const Released&) = delete;
      Released& operator=(const Released&) = delete;
      std::unique_lock<std::mutex>& held;
    };
    const Released released(lock_);
    work();
  }

 private:
  std::unique_lock<std::mutex> lock_;
  T* value_;
};

/// A value and its mutex. `state.lock()->member`, or `auto locked = state.lock();` for more than one step.
template <class T>
class Guarded {
 public:
  Guarded() = default;
  explicit Guarded(T value) : value_(std::move(value)) {}
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  [[nodiscard]] Locked<T> lock() { return {mutex_, value_}; }
  [[nodiscard]] Locked<const T> lock() const { return {mutex_, value_}; }

 private:
  mutable std::mutex mutex_;
  T value_{};
};

}  // namespace gate
