#pragma once
// Work of a thread that must go on whatever one round of it throws.

#include <exception>
#include <string_view>

#include "server/base/log.hpp"

namespace gate {

/// Runs `work`; what it throws (there is no memory; a fault of ours) is logged as an error of `what` instead of ending
/// the process. False: it threw, and may be half done.
template <class Work>
bool attempt(Logger& log, std::string_view what, const Work& work) noexcept {
  try {
    work();
    return true;
  } catch (const std::exception& error) {
    log_event(log, LogLevel::Error, what, {{"error", std::string_view(error.what())}});
  } catch (...) {
    log_event(log, LogLevel::Error, what, {});
  }
  return false;
}

}  // namespace gate
