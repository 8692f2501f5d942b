// The CRDs as the API server understands them.

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "server/kubernetes/kube_preparation_store.hpp"
#include "test/fakes/quiet_log.hpp"
#include "test/server/kubernetes/api_server.hpp"
#include "test/server/preparation_store_contract.hpp"

namespace gate {

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the spec of a record is immutable, also for an administrator") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubePreparationStore store(*client, test::quiet_log());
  REQUIRE(store.create(test::sample_record(name_space, "fixed-1"), test::soon()).ok());
  struct Row {
    const char* name;
    const char* patch;
  };
  const Row rows[] = {
      {"a target", R"({"spec":{"changes":[{"component":"fe","from":"a:1","to":"b:2"}]}})"},
      {"a hook's SQL", R"({"spec":{"hooks":[{"name":"look","sql":"SHOW BACKENDS"}]}})"},
      {"a field that goes", R"({"spec":{"supersedes":null}})"},
      {"the attempt", R"({"spec":{"attempt":7}})"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const auto patched =
        test::api_server().kubectl({"patch", "srup", "fixed-1", "-n", name_space, "--type=merge", "-p", row.patch});
    CHECK(patched.exit_code != 0);
    CHECK_MESSAGE(contains(patched.err, "spec cannot be changed"), patched.err);
  }
  const auto labelled = test::api_server().kubectl({"label", "srup", "fixed-1", "-n", name_space, "team=a"});
  CHECK_MESSAGE(labelled.exit_code == 0, labelled.err);
}

TEST_CASE("a record that no gate has written to yet says that it waits") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubePreparationStore store(*client, test::quiet_log());
  auto record = store.create(test::sample_record(name_space, "new-1"), test::soon());
  REQUIRE(record.ok());
  const auto state = [&] {
    return test::api_server()
        .kubectl({"get", "srup", "new-1", "-n", name_space, "-o", "jsonpath={.status.phase} {.status.stage}"})
        .out;
  };
  CHECK(state() == "Pending Preparing");
  // What is written stays so, what it leaves out included.
  record->status = test::sample_status();
  REQUIRE(store.update_status(*record, test::soon()).ok());
  CHECK(state() == std::string(to_string(record->status.phase)) + " " + std::string(to_string(record->status.stage)));
}

TEST_CASE("kubectl get shows what a person wants to know") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubePreparationStore store(*client, test::quiet_log());
  auto record = store.create(test::sample_record(name_space, "shown-1"), test::soon());
  REQUIRE(record.ok());
  record->status = test::sample_status();
  record->status.phase = Phase::Failed;
  record->status.outcome = Outcome::Reverted;
  REQUIRE(store.update_status(*record, test::soon()).ok());
  const auto shown = test::api_server().kubectl({"get", "srup", "-n", name_space});
  REQUIRE(shown.exit_code == 0);
  for (const char* part : {"CLUSTER", "FROM", "TO", "PHASE", "STAGE", "OUTCOME", "HOOKS", "BLOCKING", "AGE", "Failed",
                           "Reverted", "Restoring", "1/2", "look", "3.3.1", "3.4.0"}) {
    INFO(part);
    CHECK_MESSAGE(contains(shown.out, part), shown.out);
  }
}

TEST_CASE("a record that the gate could not have written is refused") {
  struct Row {
    const char* name;
    const char* spec;
    const char* complaint;
  };
  const Row rows[] = {
      {"no spec", "{}", "spec"},
      {"unknown component",
       "{objectRef: {kind: StarRocksCluster, name: sr, uid: u}, clusterRef: {name: sr}, "
       "changes: [{component: feProxy, from: a, to: b}], hooks: [{name: h, sql: SHOW FRONTENDS}]}",
       "spec.changes[0].component"},
      {"timeout out of range",
       "{objectRef: {kind: StarRocksCluster, name: sr, uid: u}, clusterRef: {name: sr}, "
       "changes: [{component: fe, from: a, to: b}], hooks: [{name: h, sql: SHOW FRONTENDS, timeoutSeconds: 3601}]}",
       "spec.hooks[0].timeoutSeconds"},
      {"two hooks of one name",
       "{objectRef: {kind: StarRocksCluster, name: sr, uid: u}, clusterRef: {name: sr}, "
       "changes: [{component: fe, from: a, to: b}], hooks: [{name: h, sql: SHOW A}, {name: h, sql: SHOW B}]}",
       "spec.hooks[1]"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const std::string object = std::string("apiVersion: gate.starrocks.com/v1alpha1\nkind: UpgradePreparation\n") +
                               "metadata: {name: odd, namespace: default}\nspec: " + row.spec + "\n";
    const auto created = test::api_server().kubectl({"create", "-f", "-"}, {.input = object});
    CHECK(created.exit_code != 0);
    CHECK_MESSAGE(contains(created.err, row.complaint), created.err);
  }
}

TEST_CASE("a record is one of the category starrocks") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubePreparationStore store(*client, test::quiet_log());
  REQUIRE(store.create(test::sample_record(name_space, "listed-1"), test::soon()).ok());
  const auto listed = test::api_server().kubectl({"get", "starrocks", "-n", name_space, "-o", "name"});
  CHECK_MESSAGE(contains(listed.out, "upgradepreparation.gate.starrocks.com/listed-1"), listed.err);
}

TEST_CASE("a record that has no status yet is not taken for one that is ready") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubePreparationStore store(*client, test::quiet_log());
  auto sample = test::sample_record(name_space, "fresh-1");
  sample.spec.bypass.reset();
  auto record = store.create(sample, test::soon());
  REQUIRE(record.ok());
  const auto status = [&](const char* path) {
    return test::api_server()
        .kubectl({"get", "srup", "fresh-1", "-n", name_space, "-o", std::string("jsonpath={.status") + path + "}"})
        .out;
  };
  CHECK(status(".observedGeneration") == "-1");
  record->status = test::sample_status();
  REQUIRE(store.update_status(*record, test::soon()).ok());
  CHECK(status(".observedGeneration") == "1");
  CHECK(status(".conditions[?(@.type=='Ready')].status") == "False");
  CHECK(status(".conditions[?(@.type=='Reconciling')].status") == "True");
}

TEST_CASE(
    "a condition of a type that the CRD does not know is taken: a newer gate writes it before the CRD is renewed") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubePreparationStore store(*client, test::quiet_log());
  REQUIRE(store.create(test::sample_record(name_space, "newer-1"), test::soon()).ok());
  const auto patched = test::api_server().kubectl(
      {"patch", "srup", "newer-1", "-n", name_space, "--subresource=status", "--type=merge", "-p",
       R"({"status":{"conditions":[{"type":"Verified","status":"True","reason":"Why",)" +
           std::string(R"("message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}})")});
  CHECK_MESSAGE(patched.exit_code == 0, patched.err);
}

namespace {

/// Paths of the fields below `schema` that lack a description.
void undescribed(const nlohmann::json& schema, const std::string& path, std::vector<std::string>& out) {
  if (path == ".metadata") return;  // the API server's own; it refuses a description here
  if (!schema.contains("description") || schema["description"].get<std::string>().empty()) out.push_back(path);
  if (schema.contains("properties")) {
    for (const auto& [name, field] : schema["properties"].items()) undescribed(field, path + "." + name, out);
  }
  if (schema.contains("items")) undescribed(schema["items"], path + "[]", out);
}

}  // namespace

TEST_CASE("every field of a record has a description, which the API server prints") {
  const auto stored =
      test::api_server().kubectl({"get", "crd", "upgradepreparations.gate.starrocks.com", "-o", "json"});
  REQUIRE_MESSAGE(stored.exit_code == 0, stored.err);
  const auto crd = nlohmann::json::parse(stored.out);
  for (const auto& version : crd["spec"]["versions"]) {
    std::vector<std::string> bare;
    undescribed(version["schema"]["openAPIV3Schema"], "", bare);
    for (const auto& path : bare) FAIL_CHECK("no description: " << path);
  }
}

TEST_CASE("kubectl explain knows the record") {
  const auto explained = test::api_server().kubectl({"explain", "upgradepreparations.status.captured"});
  CHECK_MESSAGE(explained.exit_code == 0, explained.err);
  CHECK(contains(explained.out, "setTo"));
}

TEST_CASE("the extension of the operator's CRD keeps the fields that were pruned before, and can be repeated") {
  const std::string name_space = test::make_namespace();
  const std::string cluster =
      "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr, namespace: " + name_space +
      "}\n"
      "spec:\n"
      "  upgradePreparation: {enabled: true, hooks: [{name: disable-balancer}]}\n"
      "  starRocksFeSpec: {image: 'starrocks/fe-ubuntu:3.3.1', upgradeHooks: {predefined: [disable-balancer]}}\n"
      "  starRocksBeSpec: {image: 'starrocks/be-ubuntu:3.3.1', upgradeHooks: {timeoutSeconds: 60}}\n";
  const auto stored = [&] {
    return test::api_server().kubectl({"get", "src", "sr", "-n", name_space, "-o", "jsonpath={.spec}"}).out;
  };
  REQUIRE(test::api_server().kubectl({"apply", "--validate=false", "-f", "-"}, {.input = cluster}).exit_code == 0);
  CHECK_FALSE(contains(stored(), "upgradeHooks"));

  for (int time = 0; time < 2; ++time) {
    const auto patched = test::api_server().kubectl(
        {"patch", "crd", "starrocksclusters.starrocks.com", "--type=json",
         "--patch-file=" + test::source_file("manifests/crd-extension/starrocksclusters-patch.yaml")});
    REQUIRE_MESSAGE(patched.exit_code == 0, patched.err);
  }
  // The API server takes a moment to serve the new schema; strict validation tells when.
  std::string last;
  REQUIRE_MESSAGE(test::eventually([&] {
                    const auto replaced =
                        test::api_server().kubectl({"replace", "--validate=strict", "-f", "-"}, {.input = cluster});
                    last = replaced.err;
                    return replaced.exit_code == 0 && contains(stored(), "upgradePreparation");
                  }),
                  last);
  CHECK(contains(stored(), "\"upgradeHooks\":{\"predefined\":[\"disable-balancer\"]}"));
  CHECK(contains(stored(), "\"upgradeHooks\":{\"timeoutSeconds\":60}"));
}

TEST_CASE("the extension works as a kustomize component") {
  const auto folder = test::api_server().directory() / "kustomize";
  std::filesystem::create_directories(folder);
  for (const char* file : {"kustomization.yaml", "starrocksclusters-patch.yaml", "starrockswarehouses-patch.yaml"}) {
    std::filesystem::create_directories(folder / "extension");
    std::filesystem::copy_file(test::source_file("manifests/crd-extension/") + file, folder / "extension" / file,
                               std::filesystem::copy_options::overwrite_existing);
  }
  std::filesystem::copy_file(test::source_file("test/e2e/starrocks-crds.yaml"), folder / "crds.yaml",
                             std::filesystem::copy_options::overwrite_existing);
  std::ofstream(folder / "kustomization.yaml") << "resources: [crds.yaml]\ncomponents: [extension]\n";
  const auto built = test::api_server().kubectl({"kustomize", folder.string()});
  REQUIRE_MESSAGE(built.exit_code == 0, built.err);
  const auto count = [&](const std::string& text) {
    std::size_t found = 0;
    for (auto at = built.out.find(text); at != std::string::npos; at = built.out.find(text, at + 1)) ++found;
    return found;
  };
  CHECK(count("upgradeHooks:") == 3);
  CHECK(count("upgradePreparationStatus:") == 2);  // of clusters and of warehouses
}

TEST_CASE("a warehouse shows a preparation by the same fields as a cluster") {
  const auto mirror_of = [](const std::string& kind) {
    std::ifstream file(test::source_file("manifests/crd-extension/" + kind + "-patch.yaml"));
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const std::string path = "status/properties/upgradePreparationStatus\n";
    const auto begin = text.find(path);
    REQUIRE(begin != std::string::npos);
    const auto name = "of this " + kind.substr(std::string("starrocks").size(), kind.size() - 1 - 9);
    auto schema = text.substr(begin + path.size());
    const auto said = schema.find(name);
    REQUIRE(said != std::string::npos);
    return schema.erase(said, name.size());
  };
  CHECK(mirror_of("starrocksclusters") == mirror_of("starrockswarehouses"));
}

}  // namespace gate
