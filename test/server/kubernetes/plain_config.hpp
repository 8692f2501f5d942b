#pragma once

#include <cstdint>

#include "server/kubernetes/client/kube_config.hpp"

namespace gate::test {

/// For a stand-in of the API server on this machine that speaks plain HTTP, as `kubectl proxy` does.
inline KubeConfig plain_config(int port) {
  KubeConfig config;
  config.host = "127.0.0.1";
  config.port = static_cast<std::uint16_t>(port);
  config.tls = false;
  return config;
}

}  // namespace gate::test
