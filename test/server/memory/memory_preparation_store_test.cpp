#include "server/memory/memory_preparation_store.hpp"

#include "test/server/preparation_store_contract.hpp"

namespace gate {

TEST_CASE("the store in memory keeps the contract") {
  const SystemClock clock;
  test::check_preparation_store_contract(
      [&](PreparationStore::Observer observer) {
        auto store = std::make_unique<MemoryPreparationStore>(clock);
        store->observe(std::move(observer));
        return store;
      },
      "default");
}

}  // namespace gate
