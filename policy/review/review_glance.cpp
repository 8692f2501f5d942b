// The fast path: the whole review is validated, and gives the few members that decide whether an image may change.

#include <algorithm>
#include <array>
#include <utility>

#include "policy/json/json_tokens.hpp"
#include "policy/review/admission_review.hpp"
#include "policy/versions/image_change.hpp"

namespace gate {
namespace {

static_assert(JsonTokens::kDepthMax <= kReviewDepthMax);

constexpr std::string_view kGroup = "starrocks.com";
/// Dense brackets take four times their bytes. What only such a body needed is given back.
constexpr std::size_t kKeptBytesMax = 4u << 20;

/// The main image of each component, "" when absent.
using Images = std::array<std::string_view, 4>;
constexpr std::array kComponents{Component::Frontend, Component::Backend, Component::ComputeNode, Component::Warehouse};

/// What was seen of one review. Views point into it.
struct Seen {
  std::string_view api_version;
  std::string_view kind;
  std::string_view uid;
  std::string_view object_kind;
  std::string_view operation;
  std::string_view group;
  std::string_view resource;
  std::string_view subresource;
  std::string_view ignored;  ///< Must be a text, whatever it says.
  std::optional<Images> object;
  std::optional<Images> old_object;
};

/// Hands each member named in `keys` to `visit(index)`, which takes its value; skips the others. False if this is no
/// object, on a repeated key of interest (parsers disagree about which one counts), and when `visit` says so. Null has
/// no members.
template <std::size_t N, class Visit>
bool visit_members(JsonTokens& tokens, const std::array<std::string_view, N>& keys, Visit visit) {
  if (tokens.take_null()) return true;
  if (!tokens.enter('{')) return false;
  if (tokens.leave('}')) return true;
  std::array<bool, N> seen{};
  do {
    std::string_view key;
    if (!tokens.take_key(key)) return false;
    const auto found = std::find(keys.begin(), keys.end(), key);
    const auto index = static_cast<std::size_t>(found - keys.begin());
    const bool taken = found == keys.end() ? tokens.skip() : !std::exchange(seen[index], true) && visit(index);
    if (!taken) return false;
  } while (tokens.take_comma());
  return tokens.leave('}');
}

/// A string, or "" for null.
bool read_text(JsonTokens& tokens, std::string_view& text) { return tokens.take_null() || tokens.take_text(text); }

bool read_texts(JsonTokens& tokens) {
  if (tokens.take_null()) return true;
  if (!tokens.enter('[')) return false;
  if (tokens.leave(']')) return true;
  do {
    std::string_view ignored;
    if (!tokens.take_text(ignored)) return false;
  } while (tokens.take_comma());
  return tokens.leave(']');
}

/// The images of an object; left without a value for null.
bool read_object(JsonTokens& tokens, std::optional<Images>& images) {
  if (tokens.take_null()) return true;
  images.emplace();
  constexpr std::array<std::string_view, 1> kSpec{"spec"};
  constexpr std::array<std::string_view, 1> kImage{"image"};
  static const std::array kFields{spec_field(kComponents[0]), spec_field(kComponents[1]), spec_field(kComponents[2]),
                                  spec_field(kComponents[3])};
  return visit_members(tokens, kSpec, [&](std::size_t) {
    return visit_members(tokens, kFields, [&](std::size_t component) {
      return visit_members(tokens, kImage, [&](std::size_t) { return tokens.take_text((*images)[component]); });
    });
  });
}

bool read_resource(JsonTokens& tokens, Seen& seen) {
  constexpr std::array<std::string_view, 2> kKeys{"group", "resource"};
  return visit_members(tokens, kKeys,
                       [&](std::size_t key) { return read_text(tokens, key == 0 ? seen.group : seen.resource); });
}

bool read_kind(JsonTokens& tokens, Seen& seen) {
  constexpr std::array<std::string_view, 1> kKeys{"kind"};
  return visit_members(tokens, kKeys, [&](std::size_t) { return read_text(tokens, seen.object_kind); });
}

bool read_user(JsonTokens& tokens, Seen& seen) {
  constexpr std::array<std::string_view, 2> kKeys{"username", "groups"};
  return visit_members(
      tokens, kKeys, [&](std::size_t key) { return key == 0 ? read_text(tokens, seen.ignored) : read_texts(tokens); });
}

/// Every member that parse_review judges is judged alike.
bool read_request(JsonTokens& tokens, Seen& seen) {
  constexpr std::array<std::string_view, 11> kKeys{"uid",    "operation", "subResource", "resource",
                                                   "object", "oldObject", "kind",        "userInfo",
                                                   "dryRun", "name",      "namespace"};
  return visit_members(tokens, kKeys, [&](std::size_t key) {
    switch (key) {
      case 0:
        return read_text(tokens, seen.uid);
      case 1:
        return read_text(tokens, seen.operation);
      case 2:
        return read_text(tokens, seen.subresource);
      case 3:
        return read_resource(tokens, seen);
      case 4:
        return read_object(tokens, seen.object);
      case 5:
        return read_object(tokens, seen.old_object);
      case 6:
        return read_kind(tokens, seen);
      case 7:
        return read_user(tokens, seen);
      case 8:
        return tokens.take_null() || tokens.take_bool();
      default:
        return read_text(tokens, seen.ignored);
    }
  });
}

bool read_review(JsonTokens& tokens, Seen& seen) {
  constexpr std::array<std::string_view, 3> kKeys{"apiVersion", "kind", "request"};
  return visit_members(tokens, kKeys, [&](std::size_t key) {
    switch (key) {
      case 0:
        return read_text(tokens, seen.api_version);
      case 1:
        return read_text(tokens, seen.kind);
      default:
        return read_request(tokens, seen);
    }
  });
}

/// Every component's image is the same in both objects, whatever the kind: then no rule about kinds can matter.
bool certainly_no_image_change(const Seen& seen) {
  const bool gated_resource =
      seen.group == kGroup && (seen.resource == "starrocksclusters" || seen.resource == "starrockswarehouses");
  return seen.operation == "UPDATE" && gated_resource && !seen.object_kind.empty() && seen.subresource.empty() &&
         seen.object && seen.old_object && seen.object == seen.old_object;
}

}  // namespace

ReviewGlancer::ReviewGlancer() = default;
ReviewGlancer::~ReviewGlancer() = default;

std::optional<ReviewGlance> ReviewGlancer::glance(std::string_view body) {
  if (body.size() > kReviewBytesMax) return std::nullopt;
  if (!tokens_) tokens_ = std::make_unique<JsonTokens>();
  Seen seen;
  const bool read = tokens_->start(body) && read_review(*tokens_, seen) && tokens_->ended();
  if (tokens_->bytes_kept() > kKeptBytesMax) tokens_.reset();
  if (!read || !is_review_version(seen.api_version) || seen.kind != kReviewKind || seen.uid.empty()) {
    return std::nullopt;
  }
  return ReviewGlance{std::string(seen.api_version), std::string(seen.uid), certainly_no_image_change(seen)};
}

}  // namespace gate
