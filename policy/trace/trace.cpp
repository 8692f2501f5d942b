#include "policy/trace/trace.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "policy/text/hex.hpp"

namespace gate {
namespace {

// "00-" trace "-" span "-" flags
constexpr std::size_t kTraceAt = 3;
constexpr std::size_t kSpanAt = 36;
constexpr std::size_t kFlagsAt = 53;
constexpr std::size_t kLength = 55;
constexpr std::uint8_t kSampledFlag = 1;
constexpr std::uint8_t kNoVersion = 0xff;

/// -1 for anything but a digit or a lower case letter from a to f.
int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool read_hex(std::string_view text, std::span<std::uint8_t> to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    const int high = digit(text[2 * i]);
    const int low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    to[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

bool is_zero(std::span<const std::uint8_t> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

template <class Id>
Id derived(std::string_view kind, std::initializer_list<std::string_view> parts) {
  std::string text(kind);
  for (const auto part : parts) text.append(":").append(std::to_string(part.size())).append(":").append(part);
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast)
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  Id id{};
  std::copy_n(digest.begin(), id.size(), id.begin());
  if (is_zero(id)) id.back() = 1;
  return id;
}

}  // namespace

std::string hex(const TraceId& id) { return hex_of(id); }
std::string hex(const SpanId& id) { return hex_of(id); }

TraceId derived_trace_id(std::initializer_list<std::string_view> parts) { return derived<TraceId>("trace", parts); }
SpanId derived_span_id(std::initializer_list<std::string_view> parts) { return derived<SpanId>("span", parts); }

std::optional<TraceContext> parse_traceparent(std::string_view header) {
  if (header.size() < kLength) return std::nullopt;
  std::array<std::uint8_t, 1> version{};
  std::array<std::uint8_t, 1> flags{};
  TraceContext context;
  if (!read_hex(header, version) || !read_hex(header.substr(kTraceAt), context.trace) ||
      !read_hex(header.substr(kSpanAt), context.span) || !read_hex(header.substr(kFlagsAt), flags)) {
    return std::nullopt;
  }
  for (const auto dash : {kTraceAt - 1, kSpanAt - 1, kFlagsAt - 1}) {
    if (header[dash] != '-') return std::nullopt;
  }
  // A later version may have more behind another dash; this one has nothing.
  const bool more = header.size() > kLength;
  if (version[0] == kNoVersion || (more && (version[0] == 0 || header[kLength] != '-'))) return std::nullopt;
  if (is_zero(context.trace) || is_zero(context.span)) return std::nullopt;
  context.sampled = (flags[0] & kSampledFlag) != 0;
  return context;
}

std::string format_traceparent(const TraceContext& context) {
  return "00-" + hex(context.trace) + "-" + hex(context.span) + (context.sampled ? "-01" : "-00");
}

bool is_sampled(const TraceSampler& sampler, const TraceId& trace, const std::optional<TraceContext>& parent) {
  if (sampler.parent_based && parent) return parent->sampled;
  if (sampler.ratio >= 1) return true;
  if (!(sampler.ratio > 0)) return false;
  // As other SDKs do, so that all take part in the same traces: 63 bits of the identifier's second half.
  std::uint64_t number = 0;
  for (std::size_t i = trace.size() / 2; i < trace.size(); ++i) number = number << 8 | trace.at(i);
  constexpr int kBits = 63;
  return static_cast<double>(number >> 1) < std::ldexp(sampler.ratio, kBits);
}

}  // namespace gate
