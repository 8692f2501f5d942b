#include "server/kubernetes/kube_preparation_store.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "policy/json/json_member.hpp"
#include "policy/record/preparation_codec.hpp"
#include "policy/record/record_order.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// What the API server sent must be a record of ours; anything else is reported as its fault.
Result<Preparation> parsed(const Result<json>& answer) {
  if (!answer) return answer.error();
  auto record = preparation_from_json(*answer);
  if (!record) return Error{ErrorCode::Internal, "stored record: " + record.error().message};
  return record;
}

bool is_older(const std::string& left, const std::string& right) {
  const auto before = revision(left);
  const auto after = revision(right);
  return before && after && *before < *after;
}

/// Records of one cluster that are asked for in one answer, which is bounded in bytes: the largest legal ones fit.
constexpr std::size_t kShortListMax = 40;
/// An own write is mostly told within milliseconds; a watch that needs longer is not waited for.
constexpr std::chrono::milliseconds kWatchPatience{100};
/// The API server's answer where its memory has not reached the version within three seconds.
constexpr int kTooNew = 504;

bool has_our_finalizer_alone(const json& object) {
  const json& finalizers = member(member(object, "metadata"), "finalizers");
  return finalizers.is_array() && finalizers.size() == 1 && finalizers.front() == kRestoreFinalizer;
}

bool has_label(const json& object) {
  return !text_member(member(member(object, "metadata"), "labels"), kClusterLabel).empty();
}

}  // namespace

KubePreparationStore::KubePreparationStore(KubeClient& client, Logger& log, const ResourceWatchOptions& options)
    : client_(client),
      log_(log),
      watch_(client, kube::kPreparations, options, log,
             [this](const json& object, bool removed) { on_change(object, removed); }) {}

KubePreparationStore::~KubePreparationStore() = default;

void KubePreparationStore::start() { watch_.start(); }

void KubePreparationStore::stop() { watch_.stop(); }

Result<Preparation> KubePreparationStore::create(const Preparation& record, Deadline deadline) {
  json object = to_json(record);
  object.erase("status");  // a subresource: the API server drops it from a create
  object["metadata"].erase("uid");
  object["metadata"].erase("resourceVersion");
  object["metadata"].erase("creationTimestamp");
  object["metadata"]["finalizers"] = json::array({kRestoreFinalizer});
  return remembered(client_.create_object(kube::kPreparations, record.name_space, object, deadline));
}

Result<Preparation> KubePreparationStore::get(const std::string& name_space, const std::string& name,
                                              Deadline deadline) {
  return parsed(client_.get(kube::kPreparations, name_space, name, deadline));
}

Result<std::vector<Preparation>> KubePreparationStore::list_of_cluster(const std::string& name_space,
                                                                       const std::string& cluster, Deadline deadline) {
  return list(name_space, cluster, {}, deadline);
}

Result<std::vector<Preparation>> KubePreparationStore::list_of_cluster_since(const std::string& name_space,
                                                                             const std::string& cluster,
                                                                             const std::string& written,
                                                                             Deadline deadline) {
  if (auto known = alone_since(name_space, cluster, written, deadline)) return *std::move(known);
  const bool short_list = known_count({name_space, cluster}) <= kShortListMax;
  if (!short_list || written.empty()) return list(name_space, cluster, {}, deadline);
  auto records = list(name_space, cluster, written, deadline);
  // Its memory lags behind its disk by seconds.
  if (!records && records.error().peer_code == kTooNew) return list(name_space, cluster, {}, deadline);
  return records;
}

std::optional<std::vector<Preparation>> KubePreparationStore::alone_since(const std::string& name_space,
                                                                          const std::string& cluster,
                                                                          const std::string& written,
                                                                          Deadline deadline) {
  const auto until = std::min(deadline, std::chrono::steady_clock::now() + kWatchPatience);
  if (!synced() || !watch_.has_reached(written, until)) return std::nullopt;
  std::vector<Preparation> out;
  {
    const auto cache = cache_.lock();
    const auto found = cache->records.find({name_space, cluster});
    if (found == cache->records.end()) return std::nullopt;
    bool there = false;
    for (const auto& [name, record] : found->second) {
      const bool own = record.resource_version == written;
      // What others captured is not kept here.
      if (!own && is_open(record)) return std::nullopt;
      there = there || own;
      out.push_back(record);
    }
    if (!there) return std::nullopt;
  }
  sort_newest_first(out);
  return out;
}

std::size_t KubePreparationStore::known_count(const Key& cluster) const {
  const auto cache = cache_.lock();
  const auto found = cache->records.find(cluster);
  return found == cache->records.end() ? 0 : found->second.size();
}

Result<std::vector<Preparation>> KubePreparationStore::list(const std::string& name_space, const std::string& cluster,
                                                            const std::string& not_older_than, Deadline deadline) {
  std::vector<Preparation> out;
  KubeClient::ListRequest request;
  request.resource = kube::kPreparations;
  request.name_space = name_space;
  // Which records have no label yet only the watch can tell: until it has, all of the namespace are looked through.
  const bool by_label = listed_ || synced();
  if (by_label) {
    request.label_selector = std::string(kClusterLabel) + "=" + cluster_label(cluster);
    request.not_older_than = not_older_than;
  }
  request.on_unreadable = [this](const std::string& why) {
    log_limited(unreadable_, std::chrono::steady_clock::now(), log_, LogLevel::Error, "record skipped",
                {{"error", why}});
  };
  request.on_item = [&](const json& object) {
    // A cut label may stand for several names.
    if (text_member(member(member(object, "spec"), "clusterRef"), "name") != cluster) return;
    if (auto record = readable(object)) out.push_back(*std::move(record));
  };
  auto listed = client_.list_each(request, deadline);
  if (!listed && listed.error().peer_code == 410) {
    out.clear();
    listed = client_.list_each(request, deadline);
  }
  if (!listed) return listed.error();
  if (by_label) {
    for (const std::string& name : unlabelled_of({name_space, cluster})) {
      auto record = get(name_space, name, deadline);
      if (record) {
        out.push_back(*std::move(record));
      } else if (record.error().code != ErrorCode::NotFound && record.error().code != ErrorCode::Internal) {
        return record.error();
      }
    }
  }
  sort_newest_first(out);
  return out;
}

std::vector<std::string> KubePreparationStore::unlabelled_of(const Key& cluster) const {
  std::vector<std::string> names;
  const auto cache = cache_.lock();
  const auto found = cache->records.find(cluster);
  if (found == cache->records.end()) return names;
  for (const auto& [name, record] : found->second) {
    if (cache->unlabelled.contains({cluster.first, name})) names.push_back(name);
  }
  return names;
}

Result<std::vector<Preparation>> KubePreparationStore::known_of_cluster(const std::string& name_space,
                                                                        const std::string& cluster, Deadline deadline) {
  if (!listed_ && !synced()) return list_of_cluster(name_space, cluster, deadline);
  listed_ = true;
  std::vector<Preparation> out;
  {
    const auto cache = cache_.lock();
    const auto found = cache->records.find({name_space, cluster});
    if (found == cache->records.end()) return out;
    for (const auto& [name, record] : found->second) out.push_back(record);
  }
  sort_newest_first(out);
  return out;
}

Result<Preparation> KubePreparationStore::update_status(const Preparation& record, Deadline deadline) {
  if (record.resource_version.empty()) {
    // Without it the API server would write unconditionally.
    return Error{ErrorCode::InvalidInput, "record " + record.name + ": resource_version is empty"};
  }
  if (!record.key.empty()) {
    // It would take away what was captured.
    return Error{ErrorCode::InvalidInput, "record " + record.name + ": it was not read whole"};
  }
  return remembered(
      client_.replace(kube::kPreparations, record.name_space, record.name, "status", to_json(record), deadline));
}

Status KubePreparationStore::let_go(const std::string& name_space, const std::string& name, Deadline deadline) {
  // Mostly nobody else has put one on, and nobody has written since: the version tells.
  if (const auto version = held_alone({name_space, name})) {
    cache_.lock()->held_alone.erase({name_space, name});
    auto done = take_off(name_space, name, *version, json::array(), deadline);
    if (done || done.error().code != ErrorCode::Conflict) return done;
  }
  const auto object = client_.get(kube::kPreparations, name_space, name, deadline);
  if (!object) return object.error().code == ErrorCode::NotFound ? Status(Ok{}) : Status(object.error());
  const json& metadata = member(*object, "metadata");
  json others = json::array();
  for (const json& finalizer : member(metadata, "finalizers")) {
    if (finalizer != kRestoreFinalizer) others.push_back(finalizer);
  }
  if (others.size() == member(metadata, "finalizers").size()) return Ok{};
  return take_off(name_space, name, text_member(metadata, "resourceVersion"), std::move(others), deadline);
}

/// The list is written whole: the version sees to it that nobody else's finalizer is lost.
Status KubePreparationStore::take_off(const std::string& name_space, const std::string& name,
                                      const std::string& resource_version, json others, Deadline deadline) {
  const json patch{{"metadata", {{"resourceVersion", resource_version}, {"finalizers", std::move(others)}}}};
  const auto patched = client_.merge_patch(kube::kPreparations, name_space, name, {}, patch, deadline);
  if (!patched && patched.error().code != ErrorCode::NotFound) return patched.error();
  return Ok{};
}

std::optional<std::string> KubePreparationStore::held_alone(const Key& name) const {
  const auto cache = cache_.lock();
  const auto cluster = cache->cluster_of.find(name);
  if (cluster == cache->cluster_of.end()) return std::nullopt;
  const auto records = cache->records.find({name.first, cluster->second});
  if (records == cache->records.end()) return std::nullopt;
  const auto record = records->second.find(name.second);
  if (record == records->second.end()) return std::nullopt;
  const auto held = cache->held_alone.find(name);
  const bool known = held != cache->held_alone.end() && held->second == record->second.resource_version;
  return known ? std::optional(held->second) : std::nullopt;
}

Status KubePreparationStore::remove(const std::string& name_space, const std::string& name, Deadline deadline) {
  auto removed = client_.remove(kube::kPreparations, name_space, name, deadline);
  if (!removed && removed.error().code == ErrorCode::NotFound) return Ok{};
  // It stays known until the watch tells of it: that is what the observers are told by.
  return removed;
}

std::vector<Preparation> KubePreparationStore::cached() const {
  const auto cache = cache_.lock();
  std::vector<Preparation> out;
  out.reserve(cache->cluster_of.size());
  for (const auto& [cluster, records] : cache->records) {
    for (const auto& [name, record] : records) out.push_back(record);
  }
  return out;
}

void KubePreparationStore::visit_cached(const std::function<void(const Preparation&)>& visit) const {
  const auto cache = cache_.lock();
  for (const auto& [cluster, records] : cache->records) {
    for (const auto& [name, record] : records) visit(record);
  }
}

bool KubePreparationStore::synced() const { return watch_.synced(); }

void KubePreparationStore::observe(Observer observer) { observers_.push_back(std::move(observer)); }

Result<Preparation> KubePreparationStore::remembered(Result<json> answer) {
  if (!answer) return answer.error();
  auto record = parsed(*answer);
  if (record) remember(*record, has_our_finalizer_alone(*answer));
  return record;
}

std::optional<Preparation> KubePreparationStore::readable(const json& object) {
  auto record = preparation_from_json(object);
  if (record) return *std::move(record);
  // Of a newer gate, or written by hand past the schema. Others must go on.
  const json& metadata = member(object, "metadata");
  log_limited(unreadable_, std::chrono::steady_clock::now(), log_, LogLevel::Error, "record cannot be read",
              {{"preparation", text_member(metadata, "namespace") + "/" + text_member(metadata, "name")},
               {"error", record.error().message}});
  return std::nullopt;
}

void KubePreparationStore::remember(const Preparation& record, bool held_alone) {
  const auto cache = cache_.lock();
  const Key name{record.name_space, record.name};
  auto& known = cache->records[{record.name_space, record.spec.cluster}][record.name];
  // Our own writes are here before the watch tells of them, and of what was there before them.
  if (known.uid == record.uid && is_older(record.resource_version, known.resource_version)) return;
  known = without_bodies(record);
  cache->cluster_of[name] = record.spec.cluster;
  if (held_alone) {
    cache->held_alone[name] = record.resource_version;
  } else {
    cache->held_alone.erase(name);
  }
}

std::optional<Preparation> KubePreparationStore::forget(const Key& name) {
  const auto cache = cache_.lock();
  cache->unlabelled.erase(name);
  cache->held_alone.erase(name);
  const auto cluster = cache->cluster_of.extract(name);
  if (!cluster) return std::nullopt;
  const auto records = cache->records.find({name.first, cluster.mapped()});
  if (records == cache->records.end()) return std::nullopt;
  auto node = records->second.extract(name.second);
  if (records->second.empty()) cache->records.erase(records);
  if (!node) return std::nullopt;
  return std::move(node.mapped());
}

void KubePreparationStore::note_readable(const json& object, bool readable) {
  const json& metadata = member(object, "metadata");
  Key name{text_member(metadata, "namespace"), text_member(metadata, "name")};
  const auto cache = cache_.lock();
  if (readable) {
    cache->unreadable.erase(name);
  } else {
    cache->unreadable.insert(std::move(name));
  }
}

std::size_t KubePreparationStore::unreadable_records() const { return cache_.lock()->unreadable.size(); }

void KubePreparationStore::on_change(const json& object, bool removed) {
  std::optional<Preparation> changed;
  if (removed) {
    // What a missed removal carries is too little for a record: the cache has the last one known.
    note_readable(object, true);
    const json& metadata = object.at("metadata");
    changed = forget({metadata.value("namespace", ""), metadata.value("name", "")});
  } else if (changed = readable(object); changed) {
    remember(*changed, has_our_finalizer_alone(object));
    const auto cache = cache_.lock();
    if (!has_label(object)) cache->unlabelled.insert({changed->name_space, changed->name});
  }
  if (!removed) note_readable(object, changed.has_value());
  if (!changed) return;
  for (const Observer& observer : observers_) observer(*changed, removed);
}

}  // namespace gate
