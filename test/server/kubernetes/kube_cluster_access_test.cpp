#include "server/kubernetes/kube_cluster_access.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "test/fakes/quiet_log.hpp"
#include "test/server/kubernetes/api_server.hpp"
#include "test/server/preparation_store_contract.hpp"

namespace gate {

using nlohmann::json;
using test::in_seconds;

namespace {

const SystemClock kClock;

void apply_yaml(const std::string& name_space, const std::string& yaml) {
  const auto applied = test::api_server().kubectl({"apply", "-n", name_space, "-f", "-"}, {.input = yaml});
  REQUIRE_MESSAGE(applied.exit_code == 0, applied.err);
}

std::string field_of(const std::string& name_space, const std::string& kind, const std::string& name,
                     const std::string& path) {
  return test::api_server().kubectl({"get", kind, name, "-n", name_space, "-o", "jsonpath={" + path + "}"}).out;
}

constexpr const char* kService =
    "apiVersion: v1\nkind: Service\nmetadata: {name: sr-fe-service}\nspec:\n  ports:\n"
    "  - {name: http, port: 8030}\n  - {name: query, port: 19030, targetPort: 9030}\n";

}  // namespace

TEST_CASE("the frontend is the query port of the cluster's Service, the login the first that is configured") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubeClusterAccess access(*client, kClock, test::quiet_log(), {});
  apply_yaml(name_space, kService);
  apply_yaml(
      name_space,
      "apiVersion: v1\nkind: Secret\nmetadata: {name: upgrader}\n"
      "stringData: {username: upgrader, password: 'p@ss \"word\"', ca.crt: PEM}\n---\n"
      "apiVersion: v1\nkind: Secret\nmetadata: {name: rootcredential}\nstringData: {password: from-secret}\n---\n"
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: rootconfig}\ndata: {password: from-config-map}\n");
  struct Row {
    const char* name;
    const char* annotations;
    const char* variables;
    const char* username;
    const char* password;
    const char* ca_pem;
  };
  const Row rows[] = {
      {"nothing configured", "{}", "[]", "root", "", ""},
      {"a plain MYSQL_PWD", "{}", "[{name: TZ, value: UTC}, {name: MYSQL_PWD, value: plain}]", "root", "plain", ""},
      {"MYSQL_PWD from a Secret", "{}",
       "[{name: MYSQL_PWD, valueFrom: {secretKeyRef: {name: rootcredential, key: password}}}]", "root", "from-secret",
       ""},
      {"MYSQL_PWD from a ConfigMap", "{}",
       "[{name: MYSQL_PWD, valueFrom: {configMapKeyRef: {name: rootconfig, key: password}}}]", "root",
       "from-config-map", ""},
      {"an optional Secret that is there", "{}",
       "[{name: MYSQL_PWD, valueFrom: {secretKeyRef: {name: rootcredential, key: password, optional: true}}}]", "root",
       "from-secret", ""},
      {"an optional Secret that is not there", "{}",
       "[{name: MYSQL_PWD, valueFrom: {secretKeyRef: {name: none, key: password, optional: true}}}]", "root", "", ""},
      {"an optional key that is not there", "{}",
       "[{name: MYSQL_PWD, valueFrom: {configMapKeyRef: {name: rootconfig, key: none, optional: true}}}]", "root", "",
       ""},
      {"an optional ConfigMap gives way to what stands before it", "{}",
       "[{name: MYSQL_PWD, valueFrom: {secretKeyRef: {name: rootcredential, key: password}}}, "
       "{name: MYSQL_PWD, valueFrom: {configMapKeyRef: {name: none, key: password, optional: true}}}]",
       "root", "from-secret", ""},
      {"a Secret of its own wins", "{starrocks.com/upgrade-credentials-secret: upgrader}",
       "[{name: MYSQL_PWD, value: plain}]", "upgrader", "p@ss \"word\"", "PEM"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    apply_yaml(name_space, std::string("apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr, "
                                       "annotations: ") +
                               row.annotations +
                               "}\nspec: {starRocksFeSpec: {image: 'fe:1', feEnvVars: " + row.variables + "}}\n");
    const auto found = access.frontend_access(name_space, "sr", in_seconds(30));
    REQUIRE_MESSAGE(found.ok(), (found.ok() ? "" : found.error().message));
    CHECK(found->address.host == "sr-fe-service." + name_space + ".svc");
    CHECK(found->address.port == 19030);
    CHECK(found->username == row.username);
    CHECK(found->password == row.password);
    CHECK(found->ca_pem == row.ca_pem);
    CHECK(test::api_server().kubectl({"delete", "src", "sr", "-n", name_space}).exit_code == 0);
  }
}

TEST_CASE("what an FE names is judged by the pods behind its own Services, but where the owner wrote the address") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  apply_yaml(name_space, kService);
  apply_yaml(name_space,
             "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr}\n"
             "spec: {starRocksFeSpec: {image: 'fe:1'}}\n");
  const auto slice = [&](const std::string& service, const std::string& address) {
    apply_yaml(name_space, "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " + service +
                               "-1, labels: {kubernetes.io/service-name: " + service +
                               "}}\naddressType: IPv4\nendpoints: [{addresses: ['" + address + "']}]\n");
  };
  slice("sr-fe-search", "10.9.0.1");
  slice("sr-be-search", "10.9.0.2");
  KubeClusterAccess access(*client, kClock, test::quiet_log(), {});
  const auto found = access.frontend_access(name_space, "sr", in_seconds(30));
  REQUIRE(found.ok());
  REQUIRE(found->judge_named);
  CHECK(found->judge_named({"10.9.0.1"}, in_seconds(30)).ok());
  CHECK_FALSE(found->judge_named({"10.9.0.2"}, in_seconds(30)).ok());
  KubeClusterAccessOptions options;
  options.frontend_address_override = FrontendAddress{"127.0.0.1", 9030};
  KubeClusterAccess written(*client, kClock, test::quiet_log(), options);
  const auto by_hand = written.frontend_access(name_space, "sr", in_seconds(30));
  REQUIRE(by_hand.ok());
  CHECK_FALSE(by_hand->judge_named);
}

TEST_CASE("an object that was read already is not looked up again for its FE's login") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  apply_yaml(name_space, kService);
  KubeClusterAccess access(*client, kClock, test::quiet_log(), {});
  CHECK(access.frontend_access(name_space, "sr", in_seconds(30)).error().code == ErrorCode::NotFound);
  const json variables = json::array({{{"name", "MYSQL_PWD"}, {"value", "plain"}}});
  const json object{{"spec", {{"starRocksFeSpec", {{"feEnvVars", variables}}}}}};
  const auto found = access.frontend_access_of(object, name_space, "sr", in_seconds(30));
  REQUIRE(found.ok());
  CHECK(found->address.host == "sr-fe-service." + name_space + ".svc");
  CHECK(found->password == "plain");
}

TEST_CASE("a password under a name that only looks right is told, and not taken as none") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubeClusterAccess access(*client, kClock, test::quiet_log(), {});
  apply_yaml(name_space, kService);
  for (const char* name : {"mysql_pwd", "MYSQL_PWD ", "\\u00a0MYSQL_PWD", "MYSQL_\\u200bPWD"}) {
    INFO(name);
    apply_yaml(name_space, std::string("apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr}\n"
                                       "spec: {starRocksFeSpec: {image: 'fe:1', feEnvVars: [{name: TZ, value: UTC}, "
                                       "{name: \"") +
                               name + "\", value: hunter2}]}}\n");
    const auto found = access.frontend_access(name_space, "sr", in_seconds(30));
    REQUIRE_FALSE(found.ok());
    CHECK(found.error().code == ErrorCode::Misconfigured);
    CHECK_MESSAGE(found.error().message.find("want MYSQL_PWD") != std::string::npos, found.error().message);
    CHECK(found.error().message.find("hunter2") == std::string::npos);
  }
}

TEST_CASE("a password with a line break is told wherever it comes from") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubeClusterAccess access(*client, kClock, test::quiet_log(), {});
  apply_yaml(name_space, kService);
  apply_yaml(name_space,
             "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: echoed}\ndata: {password: \"hunter2\\r\\n\"}\n");
  for (const char* source : {"value: \"hunter2\\n\"", "valueFrom: {configMapKeyRef: {name: echoed, key: password}}"}) {
    INFO(source);
    apply_yaml(name_space, std::string("apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr}\n"
                                       "spec: {starRocksFeSpec: {image: 'fe:1', feEnvVars: [{name: MYSQL_PWD, ") +
                               source + "}]}}\n");
    const auto found = access.frontend_access(name_space, "sr", in_seconds(30));
    REQUIRE_FALSE(found.ok());
    CHECK(found.error().code == ErrorCode::Misconfigured);
    CHECK_MESSAGE(found.error().message.find("has a line break") != std::string::npos, found.error().message);
    CHECK(found.error().message.find("hunter2") == std::string::npos);
  }
}

TEST_CASE("a Service that is a name for somebody else's server is not the FE's") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubeClusterAccess access(*client, kClock, test::quiet_log(), {});
  apply_yaml(name_space,
             "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr}\n"
             "spec: {starRocksFeSpec: {image: 'fe:1'}}\n");
  apply_yaml(name_space,
             "apiVersion: v1\nkind: Service\nmetadata: {name: sr-fe-service}\nspec:\n  type: ExternalName\n"
             "  externalName: db.somewhere.svc.cluster.local\n  ports:\n  - {name: query, port: 9030}\n");
  const auto found = access.frontend_access(name_space, "sr", in_seconds(30));
  REQUIRE_FALSE(found.ok());
  CHECK_MESSAGE(found.error().message.find("invalid type ExternalName") != std::string::npos, found.error().message);
}

TEST_CASE("what stands in the way of reaching the frontend is named, passwords never") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubeClusterAccess access(*client, kClock, test::quiet_log(), {});
  const auto no_cluster = access.frontend_access(name_space, "sr", in_seconds(30));
  REQUIRE_FALSE(no_cluster.ok());
  CHECK(no_cluster.error().code == ErrorCode::NotFound);

  const auto cluster = [&](const std::string& secret) {
    apply_yaml(name_space,
               "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr, annotations: "
               "{starrocks.com/upgrade-credentials-secret: '" +
                   secret + "'}}\nspec: {starRocksFeSpec: {image: 'fe:1'}}\n");
  };
  cluster("absent");
  const auto no_service = access.frontend_access(name_space, "sr", in_seconds(30));
  REQUIRE_FALSE(no_service.ok());
  CHECK(no_service.error().code == ErrorCode::Unavailable);
  CHECK(no_service.error().message.find("sr-fe-service") != std::string::npos);

  apply_yaml(name_space, kService);
  const auto no_secret = access.frontend_access(name_space, "sr", in_seconds(30));
  REQUIRE_FALSE(no_secret.ok());
  CHECK(no_secret.error().code == ErrorCode::Misconfigured);
  CHECK(no_secret.error().message.find("absent") != std::string::npos);

  apply_yaml(name_space, "apiVersion: v1\nkind: Secret\nmetadata: {name: half}\nstringData: {password: hunter2}\n");
  cluster("half");
  const auto half = access.frontend_access(name_space, "sr", in_seconds(30));
  REQUIRE_FALSE(half.ok());
  CHECK(half.error().code == ErrorCode::Misconfigured);
  CHECK(half.error().message.find("hunter2") == std::string::npos);

  apply_yaml(name_space,
             "apiVersion: v1\nkind: Secret\nmetadata: {name: echoed}\n"
             "stringData: {username: up, password: \"hunter2\\n\"}\n");
  cluster("echoed");
  const auto echoed = access.frontend_access(name_space, "sr", in_seconds(30));
  REQUIRE_FALSE(echoed.ok());
  CHECK(echoed.error().message.find("has a line break") != std::string::npos);
  CHECK(echoed.error().message.find("hunter2") == std::string::npos);

  cluster("../../../default/secrets/other");
  const auto path = access.frontend_access(name_space, "sr", in_seconds(30));
  REQUIRE_FALSE(path.ok());
  CHECK(path.error().code == ErrorCode::Misconfigured);
}

TEST_CASE("an FE whose cluster object was deleted without it is reached by what its pods have") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubeClusterAccess access(*client, kClock, test::quiet_log(), {});
  apply_yaml(name_space, kService);
  apply_yaml(name_space, "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {password: kept}\n");
  CHECK(access.frontend_access(name_space, "sr", in_seconds(30)).error().code == ErrorCode::NotFound);
  apply_yaml(name_space,
             "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: sr-fe}\nspec:\n  serviceName: sr\n"
             "  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n    spec:\n"
             "      containers:\n"
             "      - {name: sidecar, image: x, env: [{name: MYSQL_PWD, value: another}]}\n"
             "      - {name: fe, image: 'fe:1', env: [{name: HOST_TYPE, value: FQDN}, {name: MYSQL_PWD, valueFrom: "
             "{secretKeyRef: {name: login, key: password}}}]}\n");
  const auto found = access.frontend_access(name_space, "sr", in_seconds(30));
  REQUIRE_MESSAGE(found.ok(), (found.ok() ? "" : found.error().message));
  CHECK(found->username == "root");
  CHECK(found->password == "kept");
}

TEST_CASE("the address can be overridden where there is no cluster DNS") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubeClusterAccess access(*client, kClock, test::quiet_log(),
                           {.frontend_address_override = FrontendAddress{"127.0.0.1", 29030}});
  apply_yaml(name_space, "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr}\nspec: {}\n");
  const auto found = access.frontend_access(name_space, "sr", in_seconds(30));
  REQUIRE(found.ok());
  CHECK(found->address == FrontendAddress{"127.0.0.1", 29030});
}

TEST_CASE("a rollout is finished when every pod of every changed component is new and ready") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubeClusterAccess access(*client, kClock, test::quiet_log(), {});
  Preparation record = test::sample_record(name_space, "sr-0123456789-1");
  record.spec.changes = {{Component::Backend, "be:1", "be:2"}};
  const auto goal = [&] {
    RolloutGoal out;
    for (const auto& change : record.spec.changes) out.images.push_back({change.component, change.to});
    return out;
  };
  const auto waiting_for = [&] {
    const auto state = access.rollout_state(record, goal(), in_seconds(30));
    REQUIRE_MESSAGE(state.ok(), (state.ok() ? "" : state.error().message));
    CHECK(state->finished == state->waiting_for.empty());
    return state->waiting_for;
  };
  const auto stateful_set = [&](const std::string& name, const std::string& image) {
    apply_yaml(name_space, "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: " + name +
                               "}\nspec:\n  replicas: 3\n  serviceName: s\n  selector: {matchLabels: {app: a}}\n"
                               "  template:\n    metadata: {labels: {app: a}}\n    spec:\n      containers:\n"
                               "      - {name: log, image: 'log:7'}\n      - {name: be, image: '" +
                               image + "'}\n      - {name: cn, image: '" + image + "'}\n");
  };
  const auto status = [&](const std::string& name, const json& values) {
    REQUIRE(client->merge_patch(kube::kStatefulSets, name_space, name, "status", {{"status", values}}, in_seconds(30))
                .ok());
  };
  CHECK(waiting_for() == "StatefulSet sr-be: does not exist");
  stateful_set("sr-be", "be:1");
  status("sr-be", {{"observedGeneration", 1}, {"replicas", 3}, {"updatedReplicas", 3}, {"readyReplicas", 3}});
  CHECK(waiting_for() == "StatefulSet sr-be: does not have the new image yet");
  stateful_set("sr-be", "be:2");
  CHECK(waiting_for() == "StatefulSet sr-be: change not observed yet");
  status("sr-be", {{"observedGeneration", 2}, {"updatedReplicas", 1}});
  CHECK(waiting_for() == "StatefulSet sr-be: 1 of 3 updated");
  status("sr-be", {{"updatedReplicas", 3}, {"readyReplicas", 2}});
  CHECK(waiting_for() == "StatefulSet sr-be: 2 of 3 ready");
  status("sr-be", {{"readyReplicas", 3}, {"replicas", 4}});
  CHECK(waiting_for() == "StatefulSet sr-be: 1 surplus pods");
  status("sr-be", {{"replicas", 3}, {"currentRevision", "r1"}, {"updateRevision", "r2"}});
  CHECK(waiting_for() == "StatefulSet sr-be: revision r1 is still in use");
  status("sr-be", {{"currentRevision", "r2"}});
  CHECK(waiting_for().empty());
  // A pod that is being deleted is still counted as ready, but not as updated.
  status("sr-be", {{"updatedReplicas", 2}});
  CHECK(waiting_for() == "StatefulSet sr-be: 2 of 3 updated");
  const auto patch = [&](const json& spec) {
    const auto patched =
        client->merge_patch(kube::kStatefulSets, name_space, "sr-be", "", {{"spec", spec}}, in_seconds(30));
    REQUIRE_MESSAGE(patched.ok(), (patched.ok() ? "" : patched.error().message));
    status("sr-be", {{"observedGeneration", patched->at("metadata").at("generation")}});
  };
  patch({{"updateStrategy", {{"type", "RollingUpdate"}, {"rollingUpdate", {{"partition", 1}}}}}});
  CHECK(waiting_for() == "StatefulSet sr-be: 2 of 3 updated (updateStrategy partition 1)");
  patch({{"updateStrategy", {{"type", "OnDelete"}, {"rollingUpdate", nullptr}}}});
  CHECK(waiting_for() == "StatefulSet sr-be: 2 of 3 updated (updateStrategy OnDelete: delete the other pods)");
  // The controller leaves the current revision where it was.
  status("sr-be", {{"updatedReplicas", 3}, {"currentRevision", "r1"}});
  CHECK(waiting_for().empty());
  patch({{"replicas", 0}});
  CHECK(waiting_for() == "StatefulSet sr-be: 3 surplus pods");
  status("sr-be", {{"replicas", 0}, {"updatedReplicas", 0}, {"readyReplicas", 0}});
  CHECK(waiting_for().empty());

  record.spec.object = {"StarRocksWarehouse", "wh", "uid"};
  record.spec.changes = {{Component::Warehouse, "cn:1", "cn:2"}};
  stateful_set("wh-warehouse-cn", "cn:1");
  CHECK(waiting_for() == "StatefulSet wh-warehouse-cn: does not have the new image yet");
}

TEST_CASE("the right to bypass is what the API server says of user, group and namespace") {
  const std::string name_space = test::make_namespace();
  const std::string other = test::make_namespace();
  const auto client = test::make_client();
  KubeClusterAccess access(*client, kClock, test::quiet_log(), {});
  apply_yaml(name_space,
             "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: exit}\n"
             "rules: [{apiGroups: [gate.starrocks.com], resources: [upgradepreparations], verbs: [bypass]}]\n---\n"
             "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: exit}\n"
             "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: exit}\n"
             "subjects:\n- {apiGroup: rbac.authorization.k8s.io, kind: User, name: erin}\n"
             "- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: on-call}\n");
  struct Row {
    const char* name;
    UserInfo user;
    std::string name_space;
    const char* verb;
    bool expected;
  };
  for (const Row& row :
       {Row{"the user", {"erin", "", {}, {}}, name_space, "bypass", true},
        Row{"by a group", {"olga", "uid-1", {"on-call"}, {{"example.com/team", {"db"}}}}, name_space, "bypass", true},
        Row{"somebody else", {"mallory", "", {"developers"}, {}}, name_space, "bypass", false},
        Row{"in another namespace", {"erin", "", {}, {}}, other, "bypass", false},
        Row{"another verb", {"erin", "", {}, {}}, name_space, "delete", false}}) {
    INFO(row.name);
    // The authorizer learns of a new binding after a moment.
    CHECK(test::eventually([&] {
      const auto may = access.may(row.user, row.verb, row.name_space, in_seconds(30));
      REQUIRE_MESSAGE(may.ok(), (may.ok() ? "" : may.error().message));
      return *may == row.expected;
    }));
  }
  const auto unknown = access.may({"erin", "", {}, {}}, "bypass", name_space, in_seconds(-1));
  CHECK_FALSE(unknown.ok());
}

TEST_CASE("the mirror shows the latest record on the cluster, and its absence is no error") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubeClusterAccess access(*client, kClock, test::quiet_log(), {});
  const auto extended = test::api_server().kubectl(
      {"patch", "crd", "starrocksclusters.starrocks.com", "--type=json",
       "--patch-file=" + test::source_file("manifests/crd-extension/starrocksclusters-patch.yaml")});
  REQUIRE_MESSAGE(extended.exit_code == 0, extended.err);
  Preparation record = test::sample_record(name_space, "sr-0123456789-1");
  record.status = test::sample_status();
  CHECK(access.mirror_status(record, in_seconds(30)).ok());  // no such cluster

  apply_yaml(name_space, "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr}\nspec: {}\n");
  CHECK(access.mirror_status(record, in_seconds(30)).ok());  // the operator has not written a status yet

  REQUIRE(client
              ->merge_patch(kube::kClusters, name_space, "sr", "status", {{"status", {{"phase", "running"}}}},
                            in_seconds(30))
              .ok());
  // The API server serves the extended schema after a moment.
  REQUIRE(test::eventually([&] {
    const auto mirrored = access.mirror_status(record, in_seconds(30));
    REQUIRE_MESSAGE(mirrored.ok(), (mirrored.ok() ? "" : mirrored.error().message));
    return field_of(name_space, "src", "sr", ".status.upgradePreparationStatus.phase") == "Completed";
  }));
  CHECK(field_of(name_space, "src", "sr", ".status.phase") == "running");
  CHECK(field_of(name_space, "src", "sr", ".status.upgradePreparationStatus.preparation") == record.name);
  CHECK(field_of(name_space, "src", "sr", ".status.upgradePreparationStatus.failedHooks") == "[\"look\"]");

  const std::string version = field_of(name_space, "src", "sr", ".metadata.resourceVersion");
  CHECK(access.mirror_status(record, in_seconds(30)).ok());
  CHECK(field_of(name_space, "src", "sr", ".metadata.resourceVersion") == version);  // nothing new, nothing written

  // "Failed" of a record that is closed asks for nobody's attention any more: health checks tell by the stage.
  record.status.phase = Phase::Failed;
  record.status.stage = Stage::Closed;
  record.status.outcome = Outcome::Failed;
  CHECK(access.mirror_status(record, in_seconds(30)).ok());
  CHECK(field_of(name_space, "src", "sr", ".status.upgradePreparationStatus.stage") == "Closed");
  CHECK(field_of(name_space, "src", "sr", ".status.upgradePreparationStatus.outcome") == "Failed");

  record.status = {};
  record.status.phase = Phase::Running;
  CHECK(access.mirror_status(record, in_seconds(30)).ok());
  CHECK(field_of(name_space, "src", "sr", ".status.upgradePreparationStatus.outcome").empty());
  CHECK(field_of(name_space, "src", "sr", ".status.upgradePreparationStatus.completionTime").empty());
}

TEST_CASE("a warehouse shows its own record, and each change of that moves the object") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  KubeClusterAccess access(*client, kClock, test::quiet_log(), {});
  const auto extended = test::api_server().kubectl(
      {"patch", "crd", "starrockswarehouses.starrocks.com", "--type=json",
       "--patch-file=" + test::source_file("manifests/crd-extension/starrockswarehouses-patch.yaml")});
  REQUIRE_MESSAGE(extended.exit_code == 0, extended.err);
  Preparation record = test::sample_record(name_space, "sr-0123456789-1");
  record.spec.object = {std::string(kWarehouseKind), "wh", "uid"};
  record.status = test::sample_status();
  CHECK(access.mirror_on_warehouse(record, in_seconds(30)).ok());  // no such warehouse

  apply_yaml(name_space,
             "apiVersion: starrocks.com/v1\nkind: StarRocksWarehouse\nmetadata: {name: wh}\n"
             "spec: {starRocksCluster: sr, template: {image: 'starrocks/cn-ubuntu:3.3.0'}}\n");
  const auto shows = [&](const std::string& field) {
    return field_of(name_space, "warehouse", "wh", ".status.upgradePreparationStatus." + field);
  };
  // The API server serves the extended schema after a moment.
  REQUIRE(test::eventually([&] {
    const auto mirrored = access.mirror_on_warehouse(record, in_seconds(30));
    REQUIRE_MESSAGE(mirrored.ok(), (mirrored.ok() ? "" : mirrored.error().message));
    return shows("preparation") == record.name;
  }));
  const auto version = [&] { return field_of(name_space, "warehouse", "wh", ".metadata.resourceVersion"); };
  const auto before = version();
  CHECK(access.mirror_on_warehouse(record, in_seconds(30)).ok());
  CHECK(version() == before);
  record.status.message = "waiting for the rollout: warehouse: step 2 of 3";
  CHECK(access.mirror_on_warehouse(record, in_seconds(30)).ok());
  CHECK(version() != before);
  CHECK(shows("message") == record.status.message);
}

TEST_CASE("events appear on the object, warnings on the record too, repeats are counted") {
  const std::string name_space = test::make_namespace();
  const auto client = test::make_client();
  Preparation record = test::sample_record(name_space, "sr-0123456789-1");
  record.uid = "uid-of-record";
  {
    KubeClusterAccess access(*client, kClock, test::quiet_log(), {.identity = "gate-0"});
    access.emit_event(record, true, "HookFailed", "disable-balancer: ERROR 1064");
    access.emit_event(record, true, "HookFailed", "disable-balancer: ERROR 1064");
    access.emit_event(record, false, "Prepared", "2 of 2 hooks");
    const auto of = [&](const std::string& reason, const std::string& kind, const std::string& path) {
      return test::api_server()
          .kubectl({"get", "events", "-n", name_space, "--field-selector",
                    "reason=" + reason + ",involvedObject.kind=" + kind, "-o", "jsonpath={.items[*]" + path + "}"})
          .out;
    };
    const auto find = [&](const std::string& kind, const std::string& path) { return of("HookFailed", kind, path); };
    CHECK(test::eventually([&] { return find("StarRocksCluster", ".count") == "2"; }));
    CHECK(test::eventually([&] { return find("UpgradePreparation", ".count") == "2"; }));
    CHECK(find("UpgradePreparation", ".type") == "Warning");
    CHECK(find("UpgradePreparation", ".involvedObject.name") == record.name);
    CHECK(test::eventually([&] { return of("Prepared", "StarRocksCluster", ".related.name") == record.name; }));
    CHECK(of("Prepared", "UpgradePreparation", ".reason").empty());
    access.emit_event(record, false, "Closing", "the last word");
  }
  const auto last =
      test::api_server().kubectl({"get", "events", "-n", name_space, "--field-selector", "reason=Closing"});
  CHECK_MESSAGE(last.out.find("the last word") != std::string::npos, last.out);  // written while stopping
}

}  // namespace gate
