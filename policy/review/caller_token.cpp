#include "policy/review/caller_token.hpp"

#include <openssl/evp.h>

#include <array>
#include <charconv>
#include <cstddef>

#include "policy/text/hex.hpp"

namespace gate {

std::string make_caller_token(std::string_view key, WallTime issued) {
  const std::string time = "t" + std::to_string(issued.time_since_epoch().count());
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  std::size_t size = 0;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast)
  const auto* data = reinterpret_cast<const unsigned char*>(time.data());
  if (EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key.data(), key.size(), data, time.size(), digest.data(),
                digest.size(), &size) == nullptr) {
    return {};
  }
  return time + "-" + hex_of(std::span(digest).first(size));
}

std::optional<WallTime> caller_token_issued(std::string_view key, std::string_view token) {
  constexpr std::size_t kDigitsMax = 12;  // thirty thousand years
  const auto dash = token.find('-');
  if (key.size() != kCallerKeyBytes || !token.starts_with('t') || dash == std::string_view::npos ||
      dash > kDigitsMax + 1) {
    return std::nullopt;
  }
  long long seconds = 0;
  const auto* end = token.data() + dash;
  const auto [stop, error] = std::from_chars(token.data() + 1, end, seconds);
  if (error != std::errc() || stop != end || seconds < 0) return std::nullopt;
  const WallTime issued{std::chrono::seconds(seconds)};
  if (!equal_secrets(make_caller_token(key, issued), token)) return std::nullopt;
  return issued;
}

bool equal_secrets(std::string_view left, std::string_view right) {
  return !left.empty() && left.size() == right.size() && CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

}  // namespace gate
