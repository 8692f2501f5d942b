#include "server/memory/memory_preparation_store.hpp"

namespace gate {
namespace {

Error not_found(const std::string& name_space, const std::string& name) {
  return {ErrorCode::NotFound, "UpgradePreparation " + name_space + "/" + name + " does not exist"};
}

}  // namespace

MemoryPreparationStore::MemoryPreparationStore(const Clock& clock) : clock_(clock) {}

Result<Preparation> MemoryPreparationStore::create(const Preparation& record, Deadline) {
  Preparation stored = record;
  stored.creation_time = clock_.wall_now();
  stored.status = {};
  stored.deleting = false;
  stored.held = true;
  {
    const std::scoped_lock lock(mutex_);
    stored.resource_version = std::to_string(++last_version_);
    stored.uid = "memory-" + stored.resource_version;
    const auto [at, inserted] = records_.try_emplace({record.name_space, record.name}, stored);
    if (!inserted) {
      return Error{ErrorCode::AlreadyExists,
                   "UpgradePreparation " + record.name_space + "/" + record.name + " exists already"};
    }
  }
  tell(stored, false);
  return stored;
}

Result<Preparation> MemoryPreparationStore::get(const std::string& name_space, const std::string& name, Deadline) {
  const std::scoped_lock lock(mutex_);
  const auto found = records_.find({name_space, name});
  if (found == records_.end()) return not_found(name_space, name);
  return found->second;
}

Result<std::vector<Preparation>> MemoryPreparationStore::list_of_cluster(const std::string& name_space,
                                                                         const std::string& cluster, Deadline) {
  std::vector<Preparation> out;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [key, record] : records_) {
      if (key.first == name_space && record.spec.cluster == cluster) out.push_back(record);
    }
  }
  sort_newest_first(out);
  return out;
}

Result<Preparation> MemoryPreparationStore::update_status(const Preparation& record, Deadline) {
  Preparation updated;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = records_.find({record.name_space, record.name});
    if (found == records_.end()) return not_found(record.name_space, record.name);
    if (found->second.resource_version != record.resource_version) {
      return Error{ErrorCode::Conflict, "UpgradePreparation " + record.name_space + "/" + record.name +
                                            " was changed by another: read it again"};
    }
    found->second.status = record.status;
    found->second.resource_version = std::to_string(++last_version_);
    updated = found->second;
  }
  tell(updated, false);
  return updated;
}

Status MemoryPreparationStore::let_go(const std::string& name_space, const std::string& name, Deadline) {
  return change(name_space, name, [](Preparation& record) { record.held = false; });
}

Status MemoryPreparationStore::remove(const std::string& name_space, const std::string& name, Deadline) {
  return change(name_space, name, [](Preparation& record) { record.deleting = true; });
}

Status MemoryPreparationStore::change(const std::string& name_space, const std::string& name,
                                      const std::function<void(Preparation&)>& how) {
  Preparation changed;
  bool removed = false;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = records_.find({name_space, name});
    if (found == records_.end()) return Ok{};
    how(found->second);
    found->second.resource_version = std::to_string(++last_version_);
    changed = found->second;
    removed = changed.deleting && !changed.held;
    if (removed) records_.erase(found);
  }
  tell(changed, removed);
  return Ok{};
}

std::vector<Preparation> MemoryPreparationStore::cached() const {
  const std::scoped_lock lock(mutex_);
  std::vector<Preparation> out;
  out.reserve(records_.size());
  for (const auto& [key, record] : records_) out.push_back(record);
  return out;
}

void MemoryPreparationStore::observe(Observer observer) {
  const std::scoped_lock lock(mutex_);
  observers_.push_back(std::move(observer));
}

void MemoryPreparationStore::tell(const Preparation& record, bool removed) const {
  std::vector<Observer> observers;
  {
    const std::scoped_lock lock(mutex_);
    observers = observers_;
  }
  for (const Observer& observer : observers) observer(record, removed);
}

}  // namespace gate
