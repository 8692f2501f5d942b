#include "policy/rollout/mirror.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "policy/json/json_member.hpp"
#include "policy/review/status_preservation.hpp"
#include "policy/rollout/cluster_conditions.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// Of the object that the cluster is now. A record of a warehouse has the warehouse's UID.
bool is_of(const json& cluster, const Preparation& record) {
  const json& metadata = member(cluster, "metadata");
  if (record.spec.object.kind == kClusterKind) return record.spec.object.uid == text_member(metadata, "uid");
  const auto since = parse_time(text_member(metadata, "creationTimestamp"));
  return !since || !record.creation_time || *record.creation_time >= *since;
}

/// What tells how a record ended: what people see besides may be cut by a CRD of another version.
bool shows(const json& mirror, const Preparation& record) {
  const json whole = mirror_of(record);
  for (const char* const field : {"preparation", "phase", "stage", "outcome"}) {
    if (text_member(mirror, field) != text_member(whole, field)) return false;
  }
  return true;
}

/// No record has the time of its closing: it follows the last of these at once, or after a restore.
std::optional<WallTime> about_closed(const Preparation& record) {
  const auto& status = record.status;
  return std::max({status.restored_time, status.restoring_time, status.completion_time});
}

bool closed_later(const Preparation& one, const Preparation& other) {
  const auto mine = about_closed(one);
  const auto others = about_closed(other);
  return mine != others ? mine > others : is_newer(speaker_of(one), speaker_of(other));
}

}  // namespace

bool has_a_say(const Preparation& record) {
  return record.status.outcome != Outcome::Superseded && !record.spec.bypass &&
         record.spec.mode != PreparationMode::Verify;
}

Speaker speaker_of(const Preparation& record) {
  return {record.creation_time.value_or(WallTime{}), record.name, record.spec.candidate_of, record.spec.supersedes,
          record.status.stage == Stage::RollingOut};
}

bool is_newer(const Speaker& one, const Speaker& other) {
  if (one.created != other.created) return one.created > other.created;
  if (one.candidate_of == other.name || one.supersedes == other.name) return true;
  if (other.candidate_of == one.name || other.supersedes == one.name) return false;
  return one.name > other.name;  // in the same second: the same for every replica
}

bool speaks_first_on_warehouse(const Speaker& one, const Speaker& other) {
  return one.rolls != other.rolls ? one.rolls : is_newer(one, other);
}

const Preparation* missing_mirror(const json& cluster, const std::vector<Preparation>& records) {
  const json& mirror = member(member(cluster, "status"), kMirrorField);
  // Of another controller that prepares.
  if (text_member(mirror, "preparation").empty() && !text_member(mirror, "key").empty()) return nullptr;
  const Preparation* open = nullptr;
  const Preparation* closed = nullptr;
  bool closed_is_shown = false;
  for (const auto& record : records) {
    if (!has_a_say(record) || !is_of(cluster, record)) continue;
    if (is_open(record)) {
      if (open == nullptr || is_newer(speaker_of(record), speaker_of(*open))) open = &record;
      continue;
    }
    closed_is_shown = closed_is_shown || shows(mirror, record);
    if (closed == nullptr || closed_later(record, *closed)) closed = &record;
  }
  if (open != nullptr) {
    const bool is_its_runners = open->status.stage == Stage::Preparing;
    return is_its_runners || text_member(mirror, "preparation") == open->name ? nullptr : open;
  }
  return closed_is_shown ? nullptr : closed;
}

}  // namespace gate
