#include "policy/review/status_preservation.hpp"

#include <algorithm>
#include <array>

#include "policy/json/json_member.hpp"
#include "policy/review/status_fields.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// Fields that are kept whole.
constexpr std::array kWhole{kMirrorField, kObservedGenerationField, kConditionsField};

bool has_type(const json& conditions, std::string_view type) {
  return std::any_of(conditions.begin(), conditions.end(),
                     [&](const json& condition) { return text_member(condition, "type") == type; });
}

/// Longer than the CRD takes: only its beginning was read.
bool is_cut(const json& conditions) { return conditions.is_array() && conditions.size() > kConditionsMax; }

/// Conditions of ours that a list of other people's lacks, as many as it has room for.
json dropped_conditions(const json& before, const json& after) {
  json out = json::array();
  if (!before.is_array() || !after.is_array() || is_cut(before)) return out;
  for (const json& condition : before) {
    if (after.size() + out.size() >= kConditionsMax) break;
    const auto type = text_member(condition, "type");
    if (is_condition_of_ours(type) && !has_type(after, type)) out.push_back(condition);
  }
  return out;
}

}  // namespace

AdmissionAnswer preserve_status(const AdmissionRequest& request, std::string_view own_username) {
  auto answer = allow();
  if (request.operation != Operation::Update || request.subresource != "status") return answer;
  if (!own_username.empty() && request.user.username == own_username) return answer;
  if (!request.object.is_object()) return answer;
  const json& before = member(request.old_object, "status");
  const json& after = member(request.object, "status");
  json patch = json::array();
  json whole = json::object();
  for (const auto field : kWhole) {
    const json& kept = member(before, field);
    if (kept.is_null() || is_cut(kept) || !member(after, field).is_null()) continue;
    whole[std::string(field)] = kept;
    patch.push_back({{"op", "add"}, {"path", "/status/" + std::string(field)}, {"value", kept}});
  }
  for (const json& condition : dropped_conditions(member(before, kConditionsField), member(after, kConditionsField))) {
    patch.push_back({{"op", "add"}, {"path", "/status/conditions/-"}, {"value", condition}});
  }
  if (patch.empty()) return answer;
  if (!after.is_object()) patch = json::array({{{"op", "add"}, {"path", "/status"}, {"value", std::move(whole)}}});
  answer.json_patch = std::move(patch);
  return answer;
}

}  // namespace gate
