#include "policy/record/external_preparation.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "policy/json/json_member.hpp"
#include "policy/review/status_preservation.hpp"
#include "policy/text/text.hpp"

namespace gate {

using nlohmann::json;

ExternalPreparation external_preparation(const json& cluster, const PreparationSpec& spec) {
  using State = ExternalPreparation::State;
  const json& kept = member(member(cluster, "status"), kMirrorField);
  if (!kept.is_object() || kept.empty() || !text_member(kept, "preparation").empty()) return {};
  const std::string phase = text_member(kept, "phase");
  const std::string said = ".status." + std::string(kMirrorField) + " says " + (phase.empty() ? "no phase" : phase);
  const json& images = member(kept, "targetImages");
  const std::string key = text_member(kept, "key");
  if (!images.is_object() && key.empty()) {
    return {State::Waiting, clean_text(said + " without targetImages or key, so it is for no target")};
  }
  const bool this_target =
      (key.empty() || key == preparation_key(spec)) &&
      (!images.is_object() || std::all_of(spec.changes.begin(), spec.changes.end(), [&](const ImageChange& change) {
        return text_member(images, to_string(change.component)) == change.to;
      }));
  if (!this_target) return {State::Waiting, clean_text(said + " for another target")};
  const std::string message = text_member(kept, "message");
  const std::string detail = clean_text(said + (message.empty() ? "" : ": " + message));
  if (phase == to_string(Phase::Completed)) return {State::Completed, detail};
  if (phase == to_string(Phase::Failed)) return {State::Failed, detail};
  if (phase == to_string(Phase::Pending) || phase == to_string(Phase::Running)) return {State::Waiting, detail};
  return {State::Waiting, clean_text(said + ": want the phase Pending, Running, Completed or Failed")};
}

}  // namespace gate
