#include "server/kubernetes/kube_preparation_store.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "policy/text/text.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// What the API server sent must be a record of ours; anything else is reported as its fault.
Result<Preparation> parsed(Result<json> answer) {
  if (!answer) return answer.error();
  auto record = preparation_from_json(*answer);
  if (!record) return Error{ErrorCode::Internal, "stored record: " + record.error().message};
  return record;
}

}  // namespace

KubePreparationStore::KubePreparationStore(KubeClient& client, const ResourceWatchOptions& options)
    : client_(client), watch_(client, kube::kPreparations, options, [this](const json& object, bool removed) {
        on_change(object, removed);
      }) {}

KubePreparationStore::~KubePreparationStore() = default;

void KubePreparationStore::start() { watch_.start(); }

void KubePreparationStore::stop() { watch_.stop(); }

Result<Preparation> KubePreparationStore::create(const Preparation& record, Deadline deadline) {
  json object = to_json(record);
  object.erase("status");  // a subresource: the API server drops it from a create
  object["metadata"].erase("uid");
  object["metadata"].erase("resourceVersion");
  object["metadata"].erase("creationTimestamp");
  return parsed(client_.create_object(kube::kPreparations, record.name_space, object, deadline));
}

Result<Preparation> KubePreparationStore::get(const std::string& name_space, const std::string& name,
                                              Deadline deadline) {
  return parsed(client_.get(kube::kPreparations, name_space, name, deadline));
}

Result<std::vector<Preparation>> KubePreparationStore::list_of_cluster(const std::string& name_space,
                                                                       const std::string& cluster, Deadline deadline) {
  auto list = client_.list(kube::kPreparations, name_space, deadline);
  if (!list) return list.error();
  std::vector<Preparation> out;
  for (const json& object : list->items) {
    auto record = preparation_from_json(object);
    if (!record) return Error{ErrorCode::Internal, "stored record: " + record.error().message};
    if (record->spec.cluster == cluster) out.push_back(std::move(*record));
  }
  sort_newest_first(out);
  return out;
}

Result<Preparation> KubePreparationStore::update_status(const Preparation& record, Deadline deadline) {
  if (record.resource_version.empty()) {
    // Without it the API server would write unconditionally.
    return Error{ErrorCode::InvalidInput, "record " + record.name + ": resource_version is empty"};
  }
  return parsed(
      client_.replace(kube::kPreparations, record.name_space, record.name, "status", to_json(record), deadline));
}

Status KubePreparationStore::remove(const std::string& name_space, const std::string& name, Deadline deadline) {
  auto removed = client_.remove(kube::kPreparations, name_space, name, deadline);
  if (!removed && removed.error().code == ErrorCode::NotFound) return Ok{};
  return removed;
}

std::vector<Preparation> KubePreparationStore::cached() const {
  const std::scoped_lock lock(mutex_);
  std::vector<Preparation> out;
  out.reserve(cache_.size());
  for (const auto& [key, record] : cache_) out.push_back(record);
  return out;
}

bool KubePreparationStore::synced() const { return watch_.synced(); }

void KubePreparationStore::observe(Observer observer) { observers_.push_back(std::move(observer)); }

void KubePreparationStore::on_change(const json& object, bool removed) {
  std::optional<Preparation> changed;
  if (removed) {
    // What a missed removal carries is too little for a record: the cache has the last one known.
    const json& metadata = object.at("metadata");
    const std::scoped_lock lock(mutex_);
    auto node = cache_.extract({metadata.value("namespace", ""), metadata.value("name", "")});
    if (node) changed = std::move(node.mapped());
  } else if (auto record = preparation_from_json(object); record) {
    const std::scoped_lock lock(mutex_);
    cache_.insert_or_assign({record->name_space, record->name}, *record);
    changed = std::move(*record);
  } else {
    // Not ours to repair: somebody wrote it by hand past the schema. Others must go on.
    spdlog::error("record cannot be read error=\"{}\"", clean_text(record.error().message));
  }
  if (!changed) return;
  for (const Observer& observer : observers_) observer(*changed, removed);
}

}  // namespace gate
