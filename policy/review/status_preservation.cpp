#include "policy/review/status_preservation.hpp"

namespace gate {
namespace {

using nlohmann::json;

const json* mirror_in(const json& object) {
  if (!object.is_object()) return nullptr;
  const auto status = object.find("status");
  if (status == object.end() || !status->is_object()) return nullptr;
  const auto field = status->find(kMirrorField);
  return field == status->end() ? nullptr : &*field;
}

}  // namespace

AdmissionAnswer preserve_status(const AdmissionRequest& request, std::string_view own_username) {
  auto answer = allow();
  if (request.operation != Operation::Update || request.subresource != "status") return answer;
  if (!own_username.empty() && request.user.username == own_username) return answer;
  const json* kept = mirror_in(request.old_object);
  if (kept == nullptr || kept->is_null() || mirror_in(request.object) != nullptr) return answer;
  if (!request.object.is_object()) return answer;
  const bool has_status = request.object.contains("status") && request.object["status"].is_object();
  answer.json_patch = json::array();
  if (has_status) {
    answer.json_patch.push_back({{"op", "add"}, {"path", "/status/" + std::string(kMirrorField)}, {"value", *kept}});
  } else {
    answer.json_patch.push_back({{"op", "add"}, {"path", "/status"}, {"value", {{std::string(kMirrorField), *kept}}}});
  }
  return answer;
}

}  // namespace gate
