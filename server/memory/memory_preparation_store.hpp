#pragma once
// PreparationStore in memory: for trying the gate out, and for tests. Lost with the process.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "server/base/guarded.hpp"
#include "server/ports/preparation_store.hpp"

namespace gate {

class MemoryPreparationStore final : public PreparationStore {
 public:
  /// `clock` must outlive this; it gives the creation times.
  explicit MemoryPreparationStore(const Clock& clock);

  Result<Preparation> create(const Preparation& record, Deadline deadline) override;
  Result<Preparation> get(const std::string& name_space, const std::string& name, Deadline deadline) override;
  Result<std::vector<Preparation>> list_of_cluster(const std::string& name_space, const std::string& cluster,
                                                   Deadline deadline) override;
  Result<Preparation> update_status(const Preparation& record, Deadline deadline) override;
  Status let_go(const std::string& name_space, const std::string& name, Deadline deadline) override;
  Status remove(const std::string& name_space, const std::string& name, Deadline deadline) override;
  std::vector<Preparation> cached() const override;
  bool synced() const override { return true; }
  /// Observers run on the thread that made the change.
  void observe(Observer observer) override;

 private:
  Status change(const std::string& name_space, const std::string& name, const std::function<void(Preparation&)>& how);
  void tell(const Preparation& record, bool removed) const;

  struct State {
    std::map<std::pair<std::string, std::string>, Preparation> records;  ///< By namespace and name.
    std::uint64_t last_version = 0;
    std::vector<Observer> observers;
  };

  const Clock& clock_;
  Guarded<State> state_;
};

}  // namespace gate
