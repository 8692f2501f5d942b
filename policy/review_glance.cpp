// The fast path: simdjson On-Demand over the few members that decide whether an image may change.

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <utility>

#include "policy/admission_review.hpp"
#include "policy/image_change.hpp"

namespace gate {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr std::string_view kGroup = "starrocks.com";
/// A StarRocksCluster with all its history is below 300 KB. Larger bodies are rare, and would leave their size behind
/// in the buffers for ever.
constexpr std::size_t kGlanceBytesMax = 1u << 20;

/// The main image of each component, "" when absent.
using Images = std::array<std::string_view, 4>;
constexpr std::array kComponents{Component::Frontend, Component::Backend, Component::ComputeNode, Component::Warehouse};

/// What was seen of one review. Views point into the parser's buffers.
struct Seen {
  std::string_view api_version;
  std::string_view kind;
  std::string_view uid;
  std::string_view operation;
  std::string_view group;
  std::string_view resource;
  std::string_view subresource;
  std::optional<Images> object;
  std::optional<Images> old_object;
};

bool is_null(ondemand::value& value) {
  ondemand::json_type type{};
  return value.type().get(type) == simdjson::SUCCESS && type == ondemand::json_type::null;
}

/// Hands each member named in `keys` to `visit(index, value)`. False on wrong JSON, on a repeated key of interest
/// (parsers disagree about which one counts), and when `visit` says so. Keys are compared unescaped. Null has no
/// members.
template <std::size_t N, class Visit>
bool visit_members(ondemand::value& value, const std::array<std::string_view, N>& keys, Visit visit) {
  if (is_null(value)) return true;
  ondemand::object object;
  if (value.get_object().get(object)) return false;
  std::array<bool, N> seen{};
  for (auto result : object) {
    ondemand::field field;
    std::string_view key;
    if (std::move(result).get(field) || field.unescaped_key().get(key)) return false;
    const auto found = std::find(keys.begin(), keys.end(), key);
    if (found == keys.end()) continue;
    const auto index = static_cast<std::size_t>(found - keys.begin());
    if (std::exchange(seen[index], true) || !visit(index, field.value())) return false;
  }
  return true;
}

/// A string, or "" for null.
bool read_text(ondemand::value& value, std::string_view& text) {
  return is_null(value) || value.get_string().get(text) == simdjson::SUCCESS;
}

/// The images of an object; left without a value for null.
bool read_object(ondemand::value& value, std::optional<Images>& images) {
  if (is_null(value)) return true;
  images.emplace();
  constexpr std::array<std::string_view, 1> kSpec{"spec"};
  constexpr std::array<std::string_view, 1> kImage{"image"};
  static const std::array kFields{spec_field(kComponents[0]), spec_field(kComponents[1]), spec_field(kComponents[2]),
                                  spec_field(kComponents[3])};
  return visit_members(value, kSpec, [&](std::size_t, ondemand::value& spec) {
    return visit_members(spec, kFields, [&](std::size_t component, ondemand::value& component_spec) {
      return visit_members(component_spec, kImage, [&](std::size_t, ondemand::value& image) {
        return image.get_string().get((*images)[component]) == simdjson::SUCCESS;
      });
    });
  });
}

bool read_resource(ondemand::value& value, Seen& seen) {
  constexpr std::array<std::string_view, 2> kKeys{"group", "resource"};
  return visit_members(value, kKeys, [&](std::size_t key, ondemand::value& member) {
    return read_text(member, key == 0 ? seen.group : seen.resource);
  });
}

bool read_request(ondemand::value& value, Seen& seen) {
  constexpr std::array<std::string_view, 6> kKeys{"uid", "operation", "subResource", "resource", "object", "oldObject"};
  return visit_members(value, kKeys, [&](std::size_t key, ondemand::value& member) {
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
      default:
        return read_object(member, seen.old_object);
    }
  });
}

bool read_review(ondemand::value& value, Seen& seen) {
  constexpr std::array<std::string_view, 3> kKeys{"apiVersion", "kind", "request"};
  return visit_members(value, kKeys, [&](std::size_t key, ondemand::value& member) {
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
  return seen.operation == "UPDATE" && gated_resource && seen.subresource.empty() && seen.object && seen.old_object &&
         seen.object == seen.old_object;
}

}  // namespace

struct ReviewGlancer::Buffers {
  ondemand::parser parser;
  std::string body;  ///< With simdjson's padding behind it.
};

ReviewGlancer::ReviewGlancer() : buffers_(std::make_unique<Buffers>()) {}
ReviewGlancer::~ReviewGlancer() = default;

std::optional<ReviewGlance> ReviewGlancer::glance(std::string_view body) {
  if (body.size() > kGlanceBytesMax) return std::nullopt;
  buffers_->body.assign(body);
  buffers_->body.append(simdjson::SIMDJSON_PADDING, ' ');
  ondemand::document document;
  ondemand::value value;
  const simdjson::padded_string_view padded(buffers_->body.data(), body.size(), buffers_->body.size());
  if (buffers_->parser.iterate(padded).get(document) || document.get_value().get(value)) return std::nullopt;
  Seen seen;
  if (!read_review(value, seen) || document.current_location().error() != simdjson::OUT_OF_BOUNDS) return std::nullopt;
  if (!is_review_version(seen.api_version) || seen.kind != kReviewKind || seen.uid.empty()) return std::nullopt;
  return ReviewGlance{std::string(seen.api_version), std::string(seen.uid), certainly_no_image_change(seen)};
}

std::optional<ReviewGlance> glance_at_review(std::string_view body) { return ReviewGlancer().glance(body); }

}  // namespace gate
