#pragma once
// For stores that stand before another one: each says what it does otherwise, and nothing else.

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/ports/preparation_store.hpp"

namespace gate::test {

/// One call of a store.
struct StoreCall {
  enum class Kind { Create, Get, List, Write, LetGo, Remove };
  Kind kind;
  std::string what;  ///< "write sr-1 Preparing"
  [[nodiscard]] bool writes() const { return kind != Kind::Get && kind != Kind::List; }
};

/// As thread safe as what derives from it. Both questions that PreparationStore answers from list_of_cluster() are
/// answered so here, too, as is visit_cached() from cached(): what derives from this overrides each once.
class ForwardingStore : public PreparationStore {
 public:
  explicit ForwardingStore(PreparationStore& store) : store_(store) {}

  Result<Preparation> create(const Preparation& record, Deadline deadline) override {
    return call<Result<Preparation>>({StoreCall::Kind::Create, "create " + record.name},
                                     [&] { return store_.create(record, deadline); });
  }
  Result<Preparation> get(const std::string& name_space, const std::string& name, Deadline deadline) override {
    return call<Result<Preparation>>({StoreCall::Kind::Get, "get " + name},
                                     [&] { return store_.get(name_space, name, deadline); });
  }
  Result<std::vector<Preparation>> list_of_cluster(const std::string& name_space, const std::string& cluster,
                                                   Deadline deadline) override {
    return call<Result<std::vector<Preparation>>>(
        {StoreCall::Kind::List, "list"}, [&] { return store_.list_of_cluster(name_space, cluster, deadline); });
  }
  Result<Preparation> update_status(const Preparation& record, Deadline deadline) override {
    return call<Result<Preparation>>(
        {StoreCall::Kind::Write, "write " + record.name + " " + std::string(to_string(record.status.stage))},
        [&] { return store_.update_status(record, deadline); });
  }
  Status let_go(const std::string& name_space, const std::string& name, Deadline deadline) override {
    return call<Status>({StoreCall::Kind::LetGo, "let_go " + name},
                        [&] { return store_.let_go(name_space, name, deadline); });
  }
  Status remove(const std::string& name_space, const std::string& name, Deadline deadline) override {
    return call<Status>({StoreCall::Kind::Remove, "remove " + name},
                        [&] { return store_.remove(name_space, name, deadline); });
  }
  [[nodiscard]] std::vector<Preparation> cached() const override { return store_.cached(); }
  [[nodiscard]] bool synced() const override { return store_.synced(); }
  void observe(Observer observer) override { store_.observe(std::move(observer)); }

 protected:
  /// Around each call that blocks: `make` makes it. What is returned is the answer instead of the call's own.
  virtual std::optional<Error> around(const StoreCall& /*call*/, const std::function<void()>& make) {
    make();
    return std::nullopt;
  }

  PreparationStore& store_;

 private:
  template <class Out, class Make>
  Out call(const StoreCall& what, const Make& make) {
    std::optional<Out> answer;
    if (auto error = around(what, [&] { answer.emplace(make()); })) return std::move(*error);
    return std::move(*answer);
  }
};

}  // namespace gate::test
