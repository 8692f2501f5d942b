#pragma once
// The composition: owns every part, in the order in which they need each other.

#include <functional>
#include <memory>
#include <string>

#include "policy/text/result.hpp"
#include "server/app/options.hpp"
#include "server/base/log.hpp"

namespace gate {

/// Members are made in order of dependence and destroyed in reverse.
class App {
 public:
  /// Everything up to the point where the servers answer. An error names the option or the file at fault.
  [[nodiscard]] static Result<std::unique_ptr<App>> start(const ServeOptions& options, Logger& log);
  ~App();

  /// `upgrade-gate release`: ends every open record, does every pending restore, and tells each step to `say`. Works
  /// beside serving replicas and without them. True: nothing is left to restore. Blocks for ReleaseOptions::timeout at
  /// most, plus the seconds that a hung FE takes to be let go.
  [[nodiscard]] static Result<bool> release(const ServeOptions& options, const ReleaseOptions& release_options,
                                            Logger& log, const std::function<void(const std::string&)>& say);

  /// `upgrade-gate probe`. Blocks for ProbeOptions::timeout at most, plus the seconds that a hung FE takes to be let
  /// go.
  [[nodiscard]] static Result<std::vector<CheckLine>> probe(const ServeOptions& options,
                                                            const ProbeOptions& probe_options, Logger& log);

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::uint16_t ops_port() const;

  /// Reads the certificate files now, not at the next poll.
  void reload_certificate();

  /// Readiness off; serves on, but every answer closes its connection, so that clients move to other replicas. The
  /// caller waits for ServeOptions::drain before stop(): endpoints take time to follow.
  void begin_drain();

  /// Finishes what is in flight, hands over claims, closes. Blocks for ServeOptions::stop_timeout at most.
  void stop();

 private:
  class Impl;
  explicit App(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gate
