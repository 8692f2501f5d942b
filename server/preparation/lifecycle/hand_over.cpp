#include "server/preparation/lifecycle/hand_over.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "policy/json/json_member.hpp"
#include "policy/record/history.hpp"
#include "policy/record/neighbours.hpp"
#include "policy/rollout/rollout.hpp"
#include "policy/rollout/turns.hpp"
#include "server/base/log.hpp"
#include "server/preparation/hooks/fenced_peers.hpp"
#include "server/preparation/hooks/hook_context.hpp"
#include "server/preparation/hooks/left_scripts.hpp"
#include "server/preparation/records/key.hpp"

namespace gate {

bool still_wanted(const Preparation& record, const nlohmann::json& object) {
  if (text_member(member(object, "metadata"), "uid") != record.spec.object.uid || being_deleted(object)) return false;
  const auto& changes = record.spec.changes;
  return std::all_of(changes.begin(), changes.end(),
                     [&](const ImageChange& change) { return component_image(object, change.component) == change.to; });
}

std::vector<ComponentImage> present_images(const Preparation& record, const nlohmann::json& object) {
  std::vector<ComponentImage> present;
  for (const auto& change : record.spec.changes) {
    auto image = component_image(object, change.component);
    if (!image.empty()) present.push_back({change.component, std::move(image)});
  }
  return present;
}

Result<bool> HandOver::was_admitted(const Preparation& old, Deadline deadline) {
  if (moves_pods(old, {})) return true;
  if (old.status.phase != Phase::Completed || old.status.stage != Stage::Prepared) return false;
  const auto object = clusters_.get_object(old.name_space, old.spec.object, deadline);
  if (!object && object.error().code == ErrorCode::NotFound) return false;
  if (!object) return object.error();
  const auto present = present_images(old, *object);
  if (moves_pods(old, present)) return true;
  // Admitted and taken back before anybody looked: its pods are on their way back.
  const auto pods = clusters_.rollout_state(old, rollout_goal(old.spec, present), deadline);
  if (!pods) return pods.error();
  return !pods->settled;
}

Status HandOver::take_over(ClaimedRecord& claim, Deadline deadline) {
  const auto record = claim.snapshot();
  if (record.spec.supersedes.empty()) return Ok{};
  auto old = store_.get(record.name_space, record.spec.supersedes, deadline);
  if (!old) {
    if (old.error().code != ErrorCode::NotFound) return old.error();
    return Ok{};
  }
  if (old->status.outcome != Outcome::Superseded && is_open(*old)) {
    if (record.status.taken_over) return Ok{};
    const auto admitted = was_admitted(*old, deadline);
    if (!admitted) return admitted.error();
    if (*admitted) {
      return claim.update([](PreparationStatus& status) { status.taken_over = true; }, deadline);
    }
    // Frozen first: its runner loses its compare-and-set, so what is copied below is complete.
    old->status.outcome = Outcome::Superseded;
    old->status.stage = Stage::Closed;
    old->status.message = "superseded by " + record.name;
    auto frozen = store_.update_status(*old, deadline);
    if (!frozen) return frozen.error();
    old = std::move(frozen).value();
    ++superseded_;
    clusters_.emit_event(*old, false, "UpgradePreparationSuperseded", old->status.message);
  }
  if (!record.status.taken_over) {
    auto copied = claim.update(
        [&](PreparationStatus& status) {
          // What is not pending any more is captured anew.
          if (old->status.restore_pending) {
            status.restore_pending = true;
            status.captured = old->status.captured;
            status.undo = old->status.undo;
            status.settings_leader = old->status.settings_leader;
          }
          status.taken_over = true;
        },
        deadline);
    if (!copied) return copied;
  }
  return settle(claim, *old, deadline);
}

Status HandOver::settle(ClaimedRecord& claim, Preparation& old, Deadline deadline) {
  if (!is_handed_over(old)) return Ok{};
  const bool scripts_left = !scripts_left_running(old).empty();
  if (!old.status.restore_pending && !scripts_left) return Ok{};
  // Before the successor's hooks: two targets' scripts are not to run at once.
  FencedScriptJobs scripts(scripts_, claim);
  auto removed = remove_left_scripts(scripts, old, deadline);
  if (removed && old.status.restore_pending) removed = remove_undo_scripts(scripts, old, deadline);
  if (!removed && is_transient(removed.error())) return removed;
  if (!removed) {
    log_warning(log_, "scripts left to their time limit",
                {{"preparation", key_of(old)}, {"error", removed.error().message}});
  }
  auto settled = old.status;
  settle_left_scripts(old, removed, clock_.wall_now(), settled);
  settled.restore_pending = false;
  old.status = std::move(settled);
  if (auto cleared = store_.update_status(old, deadline); !cleared) return cleared.error();
  return Ok{};
}

Result<std::vector<Preparation>> HandOver::open_neighbours(const Preparation& record, Deadline deadline) {
  // Each writes what it captured, and then looks: of two, the later one sees the other's.
  auto records =
      store_.list_of_cluster_since(record.name_space, record.spec.cluster, record.resource_version, deadline);
  if (!records) return records.error();
  std::erase_if(*records, [&](const Preparation& other) { return other.name == record.name || !is_open(other); });
  return records;
}

Result<std::vector<Preparation>> HandOver::rolling_neighbours(const Preparation& record, Deadline deadline) {
  auto records =
      store_.list_of_cluster_since(record.name_space, record.spec.cluster, record.resource_version, deadline);
  if (!records) return records.error();
  std::vector<Preparation> out;
  std::set<std::string> objects{record.spec.object.uid};  // of which the newest record was seen
  for (auto& other : *records) {
    const bool newest = objects.insert(other.spec.object.uid).second;
    if (other.name == record.name) continue;
    if (!tried_again(other)) {
      if (is_open(other)) out.push_back(std::move(other));
      continue;
    }
    if (!newest) continue;
    const auto object = clusters_.get_object(other.name_space, other.spec.object, deadline);
    if (!object && object.error().code != ErrorCode::NotFound) return object.error();
    if (object && still_wanted(other, *object)) out.push_back(std::move(other));
  }
  return out;
}

Status HandOver::learn(ClaimedRecord& claim, const std::vector<Preparation>& others, Deadline deadline) {
  const auto record = claim.snapshot();
  if (whole_truth(record, others) == record.status.captured) return Ok{};
  return claim.update(
      [&](PreparationStatus& status) {
        auto current = record;
        current.status = status;
        status.captured = whole_truth(current, others);
        status.restore_pending = true;
        status.restored_time.reset();
      },
      deadline);
}

}  // namespace gate
