#pragma once
// ScriptJobs where there is no cluster to run them in.

#include <string>

#include "server/ports/script_jobs.hpp"

namespace gate {

/// Runs nothing and says why; there is nothing to remove.
class MemoryScriptJobs final : public ScriptJobs {
 public:
  std::string unavailable_because() const override {
    return "script hooks run as Kubernetes Jobs: not with --store=memory";
  }
  Result<ScriptJobState> run(const Preparation&, const ScriptJob&, Deadline) override {
    return Error{ErrorCode::InvalidInput, unavailable_because()};
  }
  Status remove(const Preparation&, const ScriptJob&, Deadline) override { return Ok{}; }
};

}  // namespace gate
