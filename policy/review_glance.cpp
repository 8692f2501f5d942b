// The fast path: simdjson validates the whole review and gives the few members that decide whether an image may change.

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <utility>

#include "policy/admission_review.hpp"
#include "policy/image_change.hpp"

namespace gate {
namespace {

namespace dom = simdjson::dom;
static_assert(kReviewPadding >= simdjson::SIMDJSON_PADDING);

constexpr std::string_view kGroup = "starrocks.com";
/// What the parser has from the start: most reviews fit, and its depth limit is set together with it.
constexpr std::size_t kFirstCapacity = 16u << 10;
/// Two objects of the size that etcd takes by default. Buffers that a larger body needed are given back.
constexpr std::size_t kKeptBytesMax = 4u << 20;

/// The main image of each component, "" when absent.
using Images = std::array<std::string_view, 4>;
constexpr std::array kComponents{Component::Frontend, Component::Backend, Component::ComputeNode, Component::Warehouse};

/// What was seen of one review. Views point into the parser's buffers.
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

/// Hands each member named in `keys` to `visit(index, value)`. False if this is no object, on a repeated key of
/// interest (parsers disagree about which one counts), and when `visit` says so. Keys are compared unescaped. Null has
/// no members.
template <std::size_t N, class Visit>
bool visit_members(const dom::element& value, const std::array<std::string_view, N>& keys, Visit visit) {
  if (value.is_null()) return true;
  dom::object object;
  if (value.get_object().get(object)) return false;
  std::array<bool, N> seen{};
  for (const auto& [key, member] : object) {
    const auto found = std::find(keys.begin(), keys.end(), key);
    if (found == keys.end()) continue;
    const auto index = static_cast<std::size_t>(found - keys.begin());
    if (std::exchange(seen[index], true) || !visit(index, member)) return false;
  }
  return true;
}

/// A string, or "" for null.
bool read_text(const dom::element& value, std::string_view& text) {
  return value.is_null() || value.get_string().get(text) == simdjson::SUCCESS;
}

bool is_texts(const dom::element& value) {
  if (value.is_null()) return true;
  dom::array items;
  if (value.get_array().get(items)) return false;
  return std::all_of(items.begin(), items.end(), [](const dom::element& item) { return item.is_string(); });
}

/// The images of an object; left without a value for null.
bool read_object(const dom::element& value, std::optional<Images>& images) {
  if (value.is_null()) return true;
  images.emplace();
  constexpr std::array<std::string_view, 1> kSpec{"spec"};
  constexpr std::array<std::string_view, 1> kImage{"image"};
  static const std::array kFields{spec_field(kComponents[0]), spec_field(kComponents[1]), spec_field(kComponents[2]),
                                  spec_field(kComponents[3])};
  return visit_members(value, kSpec, [&](std::size_t, const dom::element& spec) {
    return visit_members(spec, kFields, [&](std::size_t component, const dom::element& component_spec) {
      return visit_members(component_spec, kImage, [&](std::size_t, const dom::element& image) {
        return image.get_string().get((*images)[component]) == simdjson::SUCCESS;
      });
    });
  });
}

bool read_resource(const dom::element& value, Seen& seen) {
  constexpr std::array<std::string_view, 2> kKeys{"group", "resource"};
  return visit_members(value, kKeys, [&](std::size_t key, const dom::element& member) {
    return read_text(member, key == 0 ? seen.group : seen.resource);
  });
}

bool read_kind(const dom::element& value, Seen& seen) {
  constexpr std::array<std::string_view, 1> kKeys{"kind"};
  return visit_members(value, kKeys,
                       [&](std::size_t, const dom::element& member) { return read_text(member, seen.object_kind); });
}

bool read_user(const dom::element& value, Seen& seen) {
  constexpr std::array<std::string_view, 2> kKeys{"username", "groups"};
  return visit_members(value, kKeys, [&](std::size_t key, const dom::element& member) {
    return key == 0 ? read_text(member, seen.ignored) : is_texts(member);
  });
}

/// Every member that parse_review judges is judged alike.
bool read_request(const dom::element& value, Seen& seen) {
  constexpr std::array<std::string_view, 11> kKeys{"uid",    "operation", "subResource", "resource",
                                                   "object", "oldObject", "kind",        "userInfo",
                                                   "dryRun", "name",      "namespace"};
  return visit_members(value, kKeys, [&](std::size_t key, const dom::element& member) {
    switch (key) {
      case 0:
        return read_text(member, seen.uid);
      case 1:
        return read_text(member, seen.operation);
      case 2:
        return read_text(member, seen.subresource);
      case 3:
        return read_resource(member, seen);
      case 4:
        return read_object(member, seen.object);
      case 5:
        return read_object(member, seen.old_object);
      case 6:
        return read_kind(member, seen);
      case 7:
        return read_user(member, seen);
      case 8:
        return member.is_null() || member.is_bool();
      default:
        return read_text(member, seen.ignored);
    }
  });
}

bool read_review(const dom::element& value, Seen& seen) {
  constexpr std::array<std::string_view, 3> kKeys{"apiVersion", "kind", "request"};
  return visit_members(value, kKeys, [&](std::size_t key, const dom::element& member) {
    switch (key) {
      case 0:
        return read_text(member, seen.api_version);
      case 1:
        return read_text(member, seen.kind);
      default:
        return read_request(member, seen);
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

struct ReviewGlancer::Buffers {
  // simdjson counts one level less than parse_review where the innermost object or list is empty.
  Buffers() { usable = parser.allocate(kFirstCapacity, kReviewDepthMax) == simdjson::SUCCESS; }
  dom::parser parser;
  bool usable = false;
};

ReviewGlancer::ReviewGlancer() = default;
ReviewGlancer::~ReviewGlancer() = default;

std::optional<ReviewGlance> ReviewGlancer::glance(std::string_view body, std::size_t bytes_behind) {
  if (body.size() > kReviewBytesMax) return std::nullopt;
  if (!buffers_) buffers_ = std::make_unique<Buffers>();
  if (!buffers_->usable) return std::nullopt;
  auto result = read(body, bytes_behind);
  if (body.size() > kKeptBytesMax) buffers_.reset();
  return result;
}

std::optional<ReviewGlance> ReviewGlancer::read(std::string_view body, std::size_t bytes_behind) {
  // Without room behind the body simdjson makes a copy that has it.
  const bool copy = bytes_behind < kReviewPadding;
  dom::element review;
  Seen seen;
  if (buffers_->parser.parse(body.data(), body.size(), copy).get(review) || !read_review(review, seen)) {
    return std::nullopt;
  }
  if (!is_review_version(seen.api_version) || seen.kind != kReviewKind || seen.uid.empty()) return std::nullopt;
  return ReviewGlance{std::string(seen.api_version), std::string(seen.uid), certainly_no_image_change(seen)};
}

}  // namespace gate
