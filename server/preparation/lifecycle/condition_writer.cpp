#include "server/preparation/lifecycle/condition_writer.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "policy/hooks/hook_configuration.hpp"
#include "policy/review/status_preservation.hpp"
#include "policy/rollout/cluster_conditions.hpp"
#include "policy/text/json_member.hpp"

namespace gate {
namespace {

using nlohmann::json;
using std::chrono::seconds;

/// One exchange with the API server.
constexpr seconds kTimeout{10};
/// Looked at in one flush: a restart of the gate sees every cluster anew, and they are not to come at one moment.
constexpr std::size_t kLooksMax = 16;
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

struct ConditionWriter::Wanted {
  json fields;  ///< null: all is true.
  std::string resource_version;
};

void ConditionWriter::changed(const std::string& name_space, const std::string& cluster,
                              std::chrono::milliseconds delay) {
  const auto from = clock_.steady_now() + delay;
  const std::lock_guard lock(mutex_);
  const auto [entry, added] = due_.emplace(name_space + "/" + cluster, from);
  if (!added) entry->second = std::min(entry->second, from);
}

void ConditionWriter::flush(const std::function<bool(const std::string& key)>& busy) {
  std::vector<std::string> keys;
  {
    const std::lock_guard lock(mutex_);
    const auto now = clock_.steady_now();
    for (auto it = due_.begin(); it != due_.end() && keys.size() < kLooksMax;) {
      if (it->second > now || busy(it->first)) {
        ++it;
        continue;
      }
      keys.push_back(it->first);
      it = due_.erase(it);
    }
  }
  bool reachable = true;
  for (const auto& key : keys) {
    const auto slash = key.find('/');
    const auto name_space = key.substr(0, slash);
    const auto cluster = key.substr(slash + 1);
    const auto deadline = clock_.steady_now() + kTimeout;
    Status done = Error{ErrorCode::Unavailable, "not asked: another request has just failed"};
    if (reachable) {
      const auto wanted = look(name_space, cluster, nullptr, deadline);
      if (!wanted) {
        done = wanted.error();
      } else {
        done = wanted->fields.is_null() ? Status(Ok{}) : write(key, *wanted, deadline);
      }
    }
    if (done || done.error().code == ErrorCode::NotFound) continue;
    const bool raced = done.error().code == ErrorCode::Conflict;
    reachable = reachable && raced;
    changed(name_space, cluster, raced ? std::chrono::milliseconds{0} : kTimeout);
  }
}

Result<ConditionWriter::Wanted> ConditionWriter::look(const std::string& name_space, const std::string& cluster,
                                                      const Preparation* news, Deadline deadline) {
  const auto object = clusters_.get_object(name_space, {std::string(kClusterKind), cluster, {}}, deadline);
  if (!object) {
    if (object.error().code == ErrorCode::NotFound) {
      const std::lock_guard lock(mutex_);
      written_.erase(name_space + "/" + cluster);
    }
    return object.error();
  }
  if (being_deleted(*object)) return Wanted{};
  auto records = store_.known_of_cluster(name_space, cluster, deadline);
  if (!records) return records.error();
  if (news != nullptr) {
    const auto same =
        std::find_if(records->begin(), records->end(), [&](const Preparation& one) { return one.name == news->name; });
    if (same == records->end()) {
      records->push_back(*news);
      sort_newest_first(*records);
    } else {
      same->status = news->status;
    }
  }
  HookSources sources{*object, options_.default_hooks};
  sources.rollout_defaults = options_.rollout_defaults;
  const bool asks = resolve_hooks(sources).configured;
  return Wanted{condition_fields(*object, *records, asks, clock_.wall_now()),
                text_member(member(*object, "metadata"), "resourceVersion")};
}

Status ConditionWriter::write(const std::string& key, const Wanted& wanted, Deadline deadline) {
  const auto text = without_times(wanted.fields);
  const auto slash = key.find('/');
  {
    const std::lock_guard lock(mutex_);
    const auto now = clock_.steady_now();
    auto& before = written_[key];
    const bool gone_again = before.text == text;
    if (gone_again && now < before.again) {
      due_.emplace(key, before.again);
      return Ok{};
    }
    before.pause = gone_again ? std::min(before.pause * 2, kPauseMax) : kPauseMin;
    before.again = now + before.pause;
    before.text = text;
  }
  auto written = clusters_.write_cluster_status(key.substr(0, slash), key.substr(slash + 1), wanted.resource_version,
                                                wanted.fields, deadline);
  if (!written) {
    const std::lock_guard lock(mutex_);
    written_.erase(key);  // it was not written: nothing to wait for
  }
  return written;
}

Status ConditionWriter::write_with(const Preparation& record, Deadline deadline) {
  auto wanted = look(record.name_space, record.spec.cluster, &record, deadline);
  if (wanted && !wanted->fields.is_null()) {
    wanted->fields[std::string(kMirrorField)] = mirror_of(record);
    const auto both = clusters_.write_cluster_status(record.name_space, record.spec.cluster, wanted->resource_version,
                                                     wanted->fields, deadline);
    if (both) return both;
    // Somebody was quicker: the conditions are looked at anew, the mirror does not wait for that.
    changed(record.name_space, record.spec.cluster);
  } else if (!wanted && wanted.error().code != ErrorCode::NotFound) {
    changed(record.name_space, record.spec.cluster, kTimeout);
  }
  return clusters_.mirror_status(record, deadline);
}

}  // namespace gate
