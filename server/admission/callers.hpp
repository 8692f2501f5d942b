#pragma once
// Who may call the webhooks: whoever knows the path that the gate has told the API server.

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "policy/text/time.hpp"
#include "server/base/guarded.hpp"
#include "server/ports/clock.hpp"

namespace gate {

/// A token is replaced after this: an error message of the API server about a webhook that does not answer names the
/// whole path to whoever sent the request.
inline constexpr std::chrono::seconds kCallerTokenLife{600};
/// One that has been replaced is still accepted for this long: API servers learn of the new path within a second, and
/// requests are under way for as long as a webhook's timeout.
inline constexpr std::chrono::seconds kCallerTokenOverlap{10};
/// Beyond its life, while it is being replaced and replicas' clocks differ.
inline constexpr std::chrono::seconds kCallerTokenGrace{120};

/// Thread safe; nothing blocks.
class Callers {
 public:
  explicit Callers(const Clock& clock) : clock_(clock) {}

  /// The key under which tokens are made; until it is known nobody is admitted.
  void set_key(std::string key);
  [[nodiscard]] bool has_key() const;
  /// The webhook configurations name a token that was issued at this time: older ones end after the overlap.
  void announced(WallTime issued);

  /// `token`: the segment of the path behind the webhook's own path.
  [[nodiscard]] bool admits(std::string_view token);

 private:
  struct State {
    std::string key;
    std::string admitted;  ///< The token of the last caller that was admitted,
    WallTime admitted_issued{};
    WallTime newest{};  ///< announced,
    SteadyTime newest_since{};
  };
  [[nodiscard]] bool is_current(const State& state, WallTime issued) const;

  const Clock& clock_;
  mutable Guarded<State> state_;
};

}  // namespace gate
