#pragma once
// The hooks of an object that is changed: its configuration counts as it was or as it will be.

#include "policy/hooks/hook_configuration.hpp"

namespace gate {

/// What one image change must meet, from the configuration as it is stored and as the request would have it.
///
/// - Only one of them is configured: that one. None: `after`.
/// - Both: the hooks of `after` in their order, then those of `before` that it lacks.
/// - A hook in both under one name: with the same action it is critical if either says so and has the longer timeout;
///   with another action that of `before` counts, with a warning.
/// - Another hook of `after` that sets a setting of `before` to another value is left out, with a warning.
/// - The rollout is led as `after` says, and at least as closely as `before` says.
/// - The mode is Run unless both say Verify.
/// - Unread ConfigMaps of either count: their hooks are needed and not known.
/// - Faults of `before` count where `after` is not configured. Otherwise a faulty `before` can be corrected together
///   with the image: its valid hooks are added, its faults are not.
[[nodiscard]] HookConfiguration before_or_after(HookConfiguration before, HookConfiguration after);

}  // namespace gate
