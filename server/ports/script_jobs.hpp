#pragma once
// Script hooks, run in the cluster as Kubernetes Jobs: never inside the gate.

#include <string>

#include "policy/record/preparation.hpp"
#include "policy/text/result.hpp"
#include "server/ports/clock.hpp"

namespace gate {

struct ScriptJob {
  std::string hook;                ///< Name of the hook.
  std::string script;              ///< Shell text that defines `function`.
  std::string function;            ///< "pre_upgrade" or "post_upgrade".
  int attempt = 1;                 ///< 1, 2, ... of this function in this record: another attempt is another Job.
  std::chrono::seconds timeout{};  ///< The Job's activeDeadlineSeconds.
};

struct ScriptJobState {
  enum class Phase { Running, Succeeded, Failed };
  Phase phase = Phase::Running;
  std::string detail;  ///< Why it failed or what it waits for, with the log's last lines; cleaned, at most 1 KiB.
};

/// Thread safe; every call honours its deadline.
class ScriptJobs {
 public:
  virtual ~ScriptJobs() = default;

  /// Empty when script hooks may run; otherwise what the gate's owner must do to allow them.
  [[nodiscard]] virtual std::string unavailable_because() const = 0;

  /// Creates the Job of this record, hook, function and attempt unless it is there, and tells how it is doing.
  /// Safe to repeat: its name is derived from all four.
  [[nodiscard]] virtual Result<ScriptJobState> run(const Preparation& record, const ScriptJob& job,
                                                   Deadline deadline) = 0;

  /// Deletes the Job and its pods. NotFound is success.
  [[nodiscard]] virtual Status remove(const Preparation& record, const ScriptJob& job, Deadline deadline) = 0;
};

}  // namespace gate
