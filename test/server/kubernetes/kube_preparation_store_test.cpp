#include "server/kubernetes/kube_preparation_store.hpp"

#include "test/fakes/quiet_log.hpp"
#include "test/server/kubernetes/api_server.hpp"
#include "test/server/preparation_store_contract.hpp"

namespace gate {

TEST_CASE("the store on the API server keeps the contract") {
  static const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  test::check_preparation_store_contract(
      [&](PreparationStore::Observer observer) {
        auto store = std::make_unique<KubePreparationStore>(*client, test::quiet_log());
        store->observe(std::move(observer));
        store->start();
        return store;
      },
      name_space);
}

TEST_CASE("a record is garbage-collected with its object and carries no more rights than needed") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubePreparationStore store(*client, test::quiet_log());
  REQUIRE(store.create(test::sample_record(name_space, "owned-1"), test::soon()).ok());
  const auto owner = test::api_server().kubectl(
      {"get", "srup", "owned-1", "-n", name_space, "-o", "jsonpath={.metadata.ownerReferences[0]}"});
  CHECK(owner.out.find("\"kind\":\"StarRocksCluster\"") != std::string::npos);
  CHECK(owner.out.find("blockOwnerDeletion") == std::string::npos);
}

TEST_CASE("an update without a version is refused: it would overwrite blindly") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubePreparationStore store(*client, test::quiet_log());
  auto created = store.create(test::sample_record(name_space, "blind-1"), test::soon());
  REQUIRE(created.ok());
  created->resource_version.clear();
  const auto updated = store.update_status(*created, test::soon());
  REQUIRE_FALSE(updated.ok());
  CHECK(updated.error().code == ErrorCode::InvalidInput);
}

TEST_CASE("the cache recovers when the API server restarts") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  test::Observed observed;
  KubePreparationStore store(
      *client, test::quiet_log(),
      {.backoff_base = std::chrono::milliseconds(50), .backoff_max = std::chrono::milliseconds(500)});
  store.observe(observed.observer());
  store.start();
  REQUIRE(store.create(test::sample_record(name_space, "before-1"), test::soon()).ok());
  REQUIRE(observed.wait_for([](const auto& change) { return change.record.name == "before-1"; }));
  REQUIRE(test::api_server().restart_api_server().ok());
  Result<Preparation> created = Error{};
  REQUIRE(test::eventually([&] {
    created = store.create(test::sample_record(name_space, "after-1"), test::soon());
    return created.ok();
  }));
  CHECK(observed.wait_for([](const auto& change) { return change.record.name == "after-1"; }));
  CHECK(test::eventually([&] { return store.synced(); }));
}

}  // namespace gate
