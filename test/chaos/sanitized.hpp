#pragma once

namespace gate::test {

/// Sanitizers make everything several times as long: what is a matter of numbers is cut down there.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace gate::test
