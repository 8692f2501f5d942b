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

/// Own writes in a row that are told from those of others.
constexpr std::size_t kOwnMax = 8;

std::string version_of(const json& object) { return text_member(member(object, "metadata"), "resourceVersion"); }

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
  json fields;            ///< null: all is true.
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

void ConditionWriter::told(const std::string& name_space, const std::string& cluster, const std::string& version) {
  const auto key = name_space + "/" + cluster;
  const auto state = state_.lock();
  if (!version.empty()) {
    state->newest[key] = version;
    return;
  }
  state->newest.erase(key);
  state->read.erase(key);
  state->own.erase(key);
}

void ConditionWriter::has_read(const std::string& name_space, const std::string& cluster,
                               std::shared_ptr<const json> object) {
  state_.lock()->read[name_space + "/" + cluster] = {std::move(object), clock_.steady_now() + kTimeout};
}

std::shared_ptr<const json> ConditionWriter::at_hand(const std::string& key) const {
  const auto state = state_.lock();
  const auto read = state->read.find(key);
  const auto newest = state->newest.find(key);
  if (read == state->read.end() || newest == state->newest.end()) return nullptr;
  const bool counts = clock_.steady_now() < read->second.counts_until;
  return counts && version_of(*read->second.object) == newest->second ? read->second.object : nullptr;
}

bool ConditionWriter::is_newest(const std::string& name_space, const std::string& cluster, const json& object) const {
  const auto state = state_.lock();
  const auto newest = state->newest.find(name_space + "/" + cluster);
  return newest != state->newest.end() && newest->second == version_of(object);
}

bool ConditionWriter::only_ours_since(const std::string& key, const std::string& version) const {
  const auto state = state_.lock();
  const auto newest = state->newest.find(key);
  if (newest == state->newest.end()) return false;
  if (newest->second == version) return true;
  const auto own = state->own.find(key);
  if (own == state->own.end()) return false;
  const auto from = std::find(own->second.begin(), own->second.end(), version);
  return std::find(from, own->second.end(), newest->second) != own->second.end();
}

void ConditionWriter::flush(const std::function<bool(const std::string& key)>& busy) {
  std::vector<std::string> keys;
  {
    const auto state = state_.lock();
    const auto now = clock_.steady_now();
    std::erase_if(state->read, [&](const auto& entry) { return now >= entry.second.counts_until; });
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
  const auto key = name_space + "/" + cluster;
  const auto known = at_hand(key);
  auto object = known ? Result<json>(*known)
                      : clusters_.get_object(name_space, {std::string(kClusterKind), cluster, {}}, deadline);
  if (!object) {
    if (object.error().code == ErrorCode::NotFound) {
      told(name_space, cluster, {});
      const auto state = state_.lock();
      state->written.erase(key);
      state->missing_since.erase(key);
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
  return write(key, *seen, wanted, deadline);
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

Status ConditionWriter::write_on(const std::string& key, const Seen& seen, const json& fields, Deadline deadline) {
  const auto [name_space, cluster] = split_key(key);
  const auto before = version_of(seen.object);
  const auto written = clusters_.write_cluster_status(name_space, cluster, before, fields, deadline);
  const auto state = state_.lock();
  state->read.erase(key);
  if (!written) return written.error();
  // Where nothing came of it, the CRD has no such fields.
  if (written->empty() || *written == before) return Ok{};
  auto now = seen.object;
  now["status"].merge_patch(fields);
  now["metadata"]["resourceVersion"] = *written;
  state->read[key] = {std::make_shared<const json>(std::move(now)), clock_.steady_now() + kTimeout};
  auto& own = state->own[key];
  if (own.empty() || own.back() != before) own = {before};
  own.push_back(*written);
  if (own.size() > kOwnMax) own.erase(own.begin());
  return Ok{};
}

Status ConditionWriter::write(const std::string& key, const Seen& seen, const Wanted& wanted, Deadline deadline) {
  const auto text = without_times(wanted.fields);
  {
    const auto state = state_.lock();
    auto& before = state->written[key];
    before.pause = before.text == text ? std::min(before.pause * 2, kPauseMax) : kPauseMin;
    before.again = clock_.steady_now() + before.pause;
    before.text = text;
  }
  auto written = write_on(key, seen, wanted.fields, deadline);
  if (written) return written;
  const bool rejected = written.error().code == ErrorCode::Rejected;
  // What the CRD does not take although the operator has reported is tried again at the same pace.
  if (rejected && wanted.reported) return Ok{};
  state_.lock()->written.erase(key);  // it was not written: nothing to wait for
  return rejected ? Status(Ok{}) : written;
}

Status ConditionWriter::write_with(const Preparation& record, Deadline deadline) {
  const auto key = record.name_space + "/" + record.spec.cluster;
  const bool known = at_hand(key) != nullptr;
  auto seen = see(record.name_space, record.spec.cluster, deadline);
  if (seen) {
    auto written = write_with(record, *seen, deadline);
    // Perhaps nobody was quicker than the write, but somebody was before it.
    if (known && !written && written.error().code == ErrorCode::Conflict) {
      seen = see(record.name_space, record.spec.cluster, deadline);
      if (seen) written = write_with(record, *seen, deadline);
    }
    if (written) return written;
    // Somebody was quicker, or the CRD does not take the conditions: the mirror does not wait for them.
    if (written.error().code != ErrorCode::Rejected) changed(record.name_space, record.spec.cluster);
  } else if (seen.error().code != ErrorCode::NotFound) {
    changed(record.name_space, record.spec.cluster, kTimeout);
  }
  return clusters_.mirror_status(record, deadline);
}

Status ConditionWriter::write_with(const Preparation& record, const Seen& seen, Deadline deadline) {
  auto with = seen;
  auto& records = with.records;
  const auto same =
      std::find_if(records.begin(), records.end(), [&](const Preparation& one) { return one.name == record.name; });
  if (same == records.end()) {
    records.push_back(record);
    sort_newest_first(records);
  } else {
    same->status = record.status;
  }
  auto fields = conditions_of(with).fields;
  // As mirror_status() does it, which cannot be told from a write of others.
  const bool alone = fields.is_null();
  fields[std::string(kMirrorField)] = mirror_of(record);
  auto written = write_on(record.name_space + "/" + record.spec.cluster, with, fields, deadline);
  if (written || !alone) return written;
  // Until the operator has written its first status there is nothing to write into.
  const bool can_wait = written.error().code == ErrorCode::NotFound || written.error().code == ErrorCode::Rejected;
  return can_wait ? Status(Ok{}) : written;
}

}  // namespace gate
