#include "server/memory/memory_preparation_store.hpp"

#include "policy/record/record_order.hpp"

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
    const auto state = state_.lock();
    stored.resource_version = std::to_string(++state->last_version);
    stored.uid = "memory-" + stored.resource_version;
    const auto [at, inserted] = state->records.try_emplace({record.name_space, record.name}, stored);
    if (!inserted) {
      return Error{ErrorCode::AlreadyExists,
                   "UpgradePreparation " + record.name_space + "/" + record.name + " exists already"};
    }
  }
  tell(stored, false);
  return stored;
}

Result<Preparation> MemoryPreparationStore::get(const std::string& name_space, const std::string& name, Deadline) {
  const auto state = state_.lock();
  const auto found = state->records.find({name_space, name});
  if (found == state->records.end()) return not_found(name_space, name);
  return found->second;
}

Result<std::vector<Preparation>> MemoryPreparationStore::list_of_cluster(const std::string& name_space,
                                                                         const std::string& cluster, Deadline) {
  std::vector<Preparation> out;
  {
    const auto state = state_.lock();
    for (const auto& [key, record] : state->records) {
      if (key.first == name_space && record.spec.cluster == cluster) out.push_back(record);
    }
  }
  sort_newest_first(out);
  return out;
}

Result<Preparation> MemoryPreparationStore::update_status(const Preparation& record, Deadline) {
  Preparation updated;
  {
    const auto state = state_.lock();
    const auto found = state->records.find({record.name_space, record.name});
    if (found == state->records.end()) return not_found(record.name_space, record.name);
    if (found->second.resource_version != record.resource_version) {
      return Error{ErrorCode::Conflict, "UpgradePreparation " + record.name_space + "/" + record.name +
                                            " was changed by another: read it again"};
    }
    found->second.status = record.status;
    found->second.resource_version = std::to_string(++state->last_version);
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
    const auto state = state_.lock();
    const auto found = state->records.find({name_space, name});
    if (found == state->records.end()) return Ok{};
    how(found->second);
    found->second.resource_version = std::to_string(++state->last_version);
    changed = found->second;
    removed = changed.deleting && !changed.held;
    if (removed) state->records.erase(found);
  }
  tell(changed, removed);
  return Ok{};
}

std::vector<Preparation> MemoryPreparationStore::cached() const {
  const auto state = state_.lock();
  std::vector<Preparation> out;
  out.reserve(state->records.size());
  for (const auto& [key, record] : state->records) out.push_back(record);
  return out;
}

void MemoryPreparationStore::observe(Observer observer) { state_.lock()->observers.push_back(std::move(observer)); }

void MemoryPreparationStore::tell(const Preparation& record, bool removed) const {
  const std::vector<Observer> observers = state_.lock()->observers;
  for (const Observer& observer : observers) observer(record, removed);
}

}  // namespace gate
