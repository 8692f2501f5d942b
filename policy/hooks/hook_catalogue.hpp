#pragma once
// The predefined hooks (docs/hooks.md): what people name instead of writing SQL.

#include <string>
#include <string_view>
#include <vector>

#include "policy/hooks/hook.hpp"

namespace gate {

struct PredefinedHook {
  std::string_view name;
  HookAction action;
  bool critical = true;
  std::string_view reverses;  ///< For enable-*: the disable-* hook whose effect it takes back.
};
[[nodiscard]] const std::vector<PredefinedHook>& hook_catalogue();
/// nullptr when there is none of that name; a bundle is not one.
[[nodiscard]] const PredefinedHook* find_predefined(std::string_view name);

/// The one bundle, and the names that it stands for, in order.
inline constexpr std::string_view kRecommendedBundle = "recommended";
[[nodiscard]] const std::vector<std::string_view>& recommended_hooks();

/// A predefined hook, or the bundle.
[[nodiscard]] bool is_predefined_name(std::string_view name);
/// All of them, joined with ", ".
[[nodiscard]] std::string predefined_names();
/// What to write instead of a name that is none: the one that was probably meant comes first, when there is one.
[[nodiscard]] std::string instead_of(std::string_view name);

}  // namespace gate
