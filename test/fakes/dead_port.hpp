#pragma once
// A peer that is of no use.

#include <string>

#include "test/fakes/loopback.hpp"

namespace gate::test {

/// A port with a backlog that nobody reads from, or one that refuses.
class DeadPort {
 public:
  explicit DeadPort(bool takes_connections) : port_(takes_connections) {}
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_.port()); }

 private:
  LoopbackPort port_;
};

}  // namespace gate::test
