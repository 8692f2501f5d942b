#include "server/preparation/notices/condition_writer.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "policy/hooks/hook_configuration.hpp"
#include "policy/json/json_member.hpp"
#include "policy/record/record_order.hpp"
#include "policy/review/status_preservation.hpp"
#include "policy/rollout/cluster_conditions.hpp"
#include "policy/rollout/mirror.hpp"
#include "server/preparation/records/key.hpp"

namespace gate {
namespace {

using nlohmann::json;
using std::chrono::seconds;

/// One exchange with the API server.
constexpr seconds kTimeout{10};
/// Looked at in one flush: a restart of the gate sees every cluster anew, and they are not to come at one moment.
constexpr std::size_t kLooksMax = 16;
/// A mirror that is missing for longer is nobody's who is about to write it: longer than a webhook is waited for.
constexpr seconds kMirrorGrace{15};
/// Before what is gone again is written again.
constexpr seconds kPauseMin{30};
constexpr seconds kPauseMax{600};

std::string without_times(json fields) {
  if (auto list = fields.find(kConditionsField); list != fields.end() && list->is_array()) {
    for (json& condition : *list) {
      if (condition.is_object()) condition.erase("lastTransitionTime");
    }
  }
  return fields.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

struct ConditionWriter::Seen {
  json object;
  std::vector<Preparation> records;  ///< Newest first.
};

struct ConditionWriter::Wanted {
  json fields;  ///< null: all is true.
  std::string resource_version;
  bool mirrors = false;   ///< The cluster asks for preparation, and by this gate.
  bool reported = false;  ///< The operator has written a status.
};

void ConditionWriter::changed(const std::string& name_space, const std::string& cluster,
                              std::chrono::milliseconds delay) {
  const auto from = clock_.steady_now() + delay;
  const auto state = state_.lock();
  const auto [entry, added] = state->due.emplace(name_space + "/" + cluster, from);
  if (!added) entry->second = std::min(entry->second, from);
}

void ConditionWriter::flush(const std::function<bool(const std::string& key)>& busy) {
  std::vector<std::string> keys;
  {
    const auto state = state_.lock();
    const auto now = clock_.steady_now();
    for (auto it = state->due.begin(); it != state->due.end() && keys.size() < kLooksMax;) {
      if (it->second > now || busy(it->first)) {
        ++it;
        continue;
      }
      keys.push_back(it->first);
      it = state->due.erase(it);
    }
  }
  bool reachable = true;
  for (const auto& key : keys) {
    const auto [name_space, cluster] = split_key(key);
    const auto deadline = clock_.steady_now() + kTimeout;
    Status done = Error{ErrorCode::Unavailable, "not asked: another request has just failed"};
    if (reachable) done = look(key, deadline);
    if (done || done.error().code == ErrorCode::NotFound) continue;
    const bool raced = done.error().code == ErrorCode::Conflict;
    reachable = reachable && raced;
    changed(name_space, cluster, raced ? std::chrono::milliseconds{0} : kTimeout);
  }
}

Result<ConditionWriter::Seen> ConditionWriter::see(const std::string& name_space, const std::string& cluster,
                                                   Deadline deadline) {
  auto object = clusters_.get_object(name_space, {std::string(kClusterKind), cluster, {}}, deadline);
  if (!object) {
    if (object.error().code == ErrorCode::NotFound) {
      const auto state = state_.lock();
      state->written.erase(name_space + "/" + cluster);
      state->missing_since.erase(name_space + "/" + cluster);
    }
    return object.error();
  }
  auto records = store_.known_of_cluster(name_space, cluster, deadline);
  if (!records) return records.error();
  return Seen{std::move(object).value(), std::move(records).value()};
}

ConditionWriter::Wanted ConditionWriter::conditions_of(const Seen& seen) const {
  if (being_deleted(seen.object)) return {};
  HookSources sources{seen.object, options_.default_hooks};
  sources.rollout_defaults = options_.rollout_defaults;
  const auto configuration = resolve_hooks(sources);
  const bool asks = configuration.configured;
  return {condition_fields(seen.object, seen.records, asks, clock_.wall_now()),
          text_member(member(seen.object, "metadata"), "resourceVersion"),
          asks && configuration.mode == PreparationMode::Run,
          !text_member(member(seen.object, "status"), "phase").empty()};
}

const Preparation* ConditionWriter::missing_for_long(const std::string& key, const Seen& seen, const Wanted& wanted) {
  const auto* const record = wanted.mirrors ? missing_mirror(seen.object, seen.records) : nullptr;
  const auto now = clock_.steady_now();
  const auto state = state_.lock();
  if (record == nullptr) {
    state->missing_since.erase(key);
    return nullptr;
  }
  const auto due = state->missing_since.try_emplace(key, now).first->second + kMirrorGrace;
  if (now >= due) return record;
  state->due.emplace(key, due);
  return nullptr;
}

Status ConditionWriter::look(const std::string& key, Deadline deadline) {
  const auto [name_space, cluster] = split_key(key);
  auto seen = see(name_space, cluster, deadline);
  if (!seen) return seen.error();
  auto wanted = conditions_of(*seen);
  const auto* missing = missing_for_long(key, *seen, wanted);
  if (missing != nullptr) wanted.fields[std::string(kMirrorField)] = mirror_of(*missing);
  if (wanted.fields.is_null() || is_too_early(key, without_times(wanted.fields))) return Ok{};
  if (missing != nullptr) {
    // What is mirrored may be newer than what is known. It is not newer than what is read after the object.
    auto records = store_.list_of_cluster(name_space, cluster, deadline);
    if (!records) return records.error();
    seen->records = std::move(records).value();
    wanted = conditions_of(*seen);
    missing = missing_for_long(key, *seen, wanted);
    if (missing != nullptr) wanted.fields[std::string(kMirrorField)] = mirror_of(*missing);
    if (wanted.fields.is_null()) return Ok{};
  }
  return write(key, wanted, deadline);
}

bool ConditionWriter::is_too_early(const std::string& key, const std::string& text) {
  const auto state = state_.lock();
  const auto before = state->written.find(key);
  if (before == state->written.end() || before->second.text != text || clock_.steady_now() >= before->second.again) {
    return false;
  }
  state->due.emplace(key, before->second.again);
  return true;
}

Status ConditionWriter::write(const std::string& key, const Wanted& wanted, Deadline deadline) {
  const auto text = without_times(wanted.fields);
  const auto [name_space, cluster] = split_key(key);
  {
    const auto state = state_.lock();
    auto& before = state->written[key];
    before.pause = before.text == text ? std::min(before.pause * 2, kPauseMax) : kPauseMin;
    before.again = clock_.steady_now() + before.pause;
    before.text = text;
  }
  auto written = clusters_.write_cluster_status(name_space, cluster, wanted.resource_version, wanted.fields, deadline);
  if (written) return written;
  const bool rejected = written.error().code == ErrorCode::Rejected;
  // What the CRD does not take although the operator has reported is tried again at the same pace.
  if (rejected && wanted.reported) return Ok{};
  state_.lock()->written.erase(key);  // it was not written: nothing to wait for
  return rejected ? Status(Ok{}) : written;
}

Status ConditionWriter::write_with(const Preparation& record, Deadline deadline) {
  auto seen = see(record.name_space, record.spec.cluster, deadline);
  if (!seen) {
    if (seen.error().code != ErrorCode::NotFound) changed(record.name_space, record.spec.cluster, kTimeout);
    return clusters_.mirror_status(record, deadline);
  }
  auto& records = seen->records;
  const auto same =
      std::find_if(records.begin(), records.end(), [&](const Preparation& one) { return one.name == record.name; });
  if (same == records.end()) {
    records.push_back(record);
    sort_newest_first(records);
  } else {
    same->status = record.status;
  }
  auto wanted = conditions_of(*seen);
  if (wanted.fields.is_null()) return clusters_.mirror_status(record, deadline);
  wanted.fields[std::string(kMirrorField)] = mirror_of(record);
  const auto both = clusters_.write_cluster_status(record.name_space, record.spec.cluster, wanted.resource_version,
                                                   wanted.fields, deadline);
  if (both) return both;
  // Somebody was quicker, or the CRD does not take the conditions: the mirror does not wait for them.
  if (both.error().code != ErrorCode::Rejected) changed(record.name_space, record.spec.cluster);
  return clusters_.mirror_status(record, deadline);
}

}  // namespace gate
