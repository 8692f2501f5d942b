#pragma once
// The predefined checks (docs/hooks.md): what the FE says about its cluster, against what an upgrade needs. Columns are
// found by name; each version of StarRocks has others.

#include <string>

#include "policy/hooks/hook.hpp"
#include "server/preparation/frontends/frontend_fleet.hpp"

namespace gate {

struct Observation {
  bool holds = false;
  std::string text;  ///< What was observed, and what is wanted where that is not it; cleaned.
};

/// One look. Blocks until the FE has answered or `deadline`; errors as in FrontendFleet.
[[nodiscard]] Result<Observation> observe(FrontendFleet& frontends, Probe probe, Deadline deadline);

}  // namespace gate
