#pragma once
// A logger for parts whose lines a test does not look at.

#include <spdlog/logger.h>
#include <spdlog/sinks/null_sink.h>

#include <memory>

namespace gate::test {

[[nodiscard]] inline spdlog::logger& quiet_log() {
  static spdlog::logger log("quiet", std::make_shared<spdlog::sinks::null_sink_mt>());
  return log;
}

}  // namespace gate::test
