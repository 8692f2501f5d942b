// Script Jobs on a real API server. There is no Job controller and no kubelet: the test plays both.

#include "server/kubernetes/kube_script_jobs.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "server/kubernetes/kube_cluster_access.hpp"
#include "server/kubernetes/kube_preparation_store.hpp"
#include "test/fakes/quiet_log.hpp"
#include "test/server/kubernetes/api_server.hpp"
#include "test/server/kubernetes/ended_job.hpp"
#include "test/server/preparation_store_contract.hpp"

namespace gate {

using nlohmann::json;
using test::in_seconds;
using JobPhase = ScriptJobState::Phase;

namespace {

const SystemClock kClock;
constexpr const char* kScript = "pre_upgrade() { echo \"hello $SR_FE_HOST\" \"$(SR_FE_PORT)\" '$$(x)'; }\n";

std::string unexpanded_by_kubelet(std::string text) {
  for (std::size_t at = 0; (at = text.find("$$", at)) != std::string::npos; ++at) text.erase(at, 1);
  return text;
}

/// A namespace with a cluster, its FE's Service and password, and a record of its upgrade.
class World {
 public:
  explicit World(const std::string& fe_variables =
                     "[{name: MYSQL_PWD, valueFrom: {secretKeyRef: {name: rootcredential, key: password}}}]",
                 const std::string& annotations = "{}")
      : name_space(test::make_namespace()),
        client(test::make_client()),
        access(*client, kClock, test::quiet_log(), {}) {
    apply(
        "apiVersion: v1\nkind: Service\nmetadata: {name: sr-fe-service}\nspec:\n  ports:\n"
        "  - {name: query, port: 19030, targetPort: 9030}\n---\n"
        "apiVersion: v1\nkind: Secret\nmetadata: {name: rootcredential}\nstringData: {password: hunter2}\n---\n"
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: rootconfig}\ndata: {password: hunter2}\n---\n"
        "apiVersion: v1\nkind: Secret\nmetadata: {name: upgrader}\nstringData: {username: up, password: hunter2}\n---\n"
        "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr, annotations: " +
        annotations + "}\nspec: {starRocksFeSpec: {image: 'fe:1', feEnvVars: " + fe_variables + "}}\n");
    KubePreparationStore store(*client, test::quiet_log());
    const auto created = store.create(test::sample_record(name_space, "sr-1"), test::soon());
    REQUIRE_MESSAGE(created.ok(), (created.ok() ? "" : created.error().message));
    record = *created;
  }

  void apply(const std::string& yaml) const {
    const auto applied = test::api_server().kubectl({"apply", "-n", name_space, "-f", "-"}, {.input = yaml});
    REQUIRE_MESSAGE(applied.exit_code == 0, applied.err);
  }

  [[nodiscard]] ScriptJobState run() {
    const auto state = jobs.run(record, job, in_seconds(30));
    REQUIRE_MESSAGE(state.ok(), (state.ok() ? "" : state.error().message));
    return *state;
  }
  [[nodiscard]] json object() {
    auto found = client->get(kube::kJobs, name_space, KubeScriptJobs::job_name(record, job), in_seconds(30));
    REQUIRE_MESSAGE(found.ok(), (found.ok() ? "" : found.error().message));
    return *found;
  }

  /// What the Job controller would write.
  void end_job(bool good) {
    write_status(kube::kJobs, KubeScriptJobs::job_name(record, job), gate::test::ended_job_status(good));
  }

  /// The Job's pod, as its controller makes it, owned by the Job or by somebody else.
  json make_pod(const std::string& name, const json& status, bool ours = true) {
    const json owner = object();
    json pod{{"apiVersion", "v1"}, {"kind", "Pod"}};
    pod["metadata"] = {
        {"name", name},
        {"labels", {{"job-name", owner.at("metadata").at("name")}}},
        {"ownerReferences",
         {{{"apiVersion", "batch/v1"},
           {"kind", "Job"},
           {"name", owner.at("metadata").at("name")},
           {"uid", ours ? owner.at("metadata").at("uid").get<std::string>() : std::string("somebody-else")}}}}};
    pod["spec"] = owner.at("spec").at("template").at("spec");
    const auto created = client->create_object(kube::kPods, name_space, pod, in_seconds(30));
    REQUIRE_MESSAGE(created.ok(), (created.ok() ? "" : created.error().message));
    write_status(kube::kPods, name, status);
    return *created;
  }

  void write_status(const KubeResource& resource, const std::string& name, const json& status) {
    const auto patched =
        client->merge_patch(resource, name_space, name, "status", {{"status", status}}, in_seconds(30));
    REQUIRE_MESSAGE(patched.ok(), (patched.ok() ? "" : patched.error().message));
  }

  std::string name_space;
  std::unique_ptr<KubeClient> client;
  KubeClusterAccess access;
  Preparation record;
  KubeScriptJobs jobs{*client, access, {"tools:1"}};
  ScriptJob job{"warm up", kScript, "pre_upgrade", 1, std::chrono::seconds(120)};
};

json environment_of(const json& object) {
  json out = json::object();
  for (const auto& variable : object.at("spec").at("template").at("spec").at("containers").at(0).at("env")) {
    out[variable.at("name").get<std::string>()] =
        variable.contains("value") ? variable.at("value") : variable.at("valueFrom");
  }
  return out;
}

json container_state(const char* kind, json state) {
  return {{"phase", "Pending"},
          {"containerStatuses",
           {{{"name", "script"},
             {"image", "tools:1"},
             {"imageID", ""},
             {"ready", false},
             {"restartCount", 0},
             {"state", {{kind, std::move(state)}}}}}}};
}

}  // namespace

TEST_CASE("the Job is restricted, field by field") {
  World world;
  CHECK(world.run().phase == JobPhase::Running);
  const json object = world.object();
  const auto field = [&](const char* pointer) {
    const json::json_pointer path(pointer);
    return object.contains(path) ? object.at(path) : json();
  };
  struct Row {
    const char* pointer;
    json value;
  };
  for (const Row& row : {
           Row{"/spec/backoffLimit", 0},
           Row{"/spec/completions", 1},
           Row{"/spec/parallelism", 1},
           Row{"/spec/activeDeadlineSeconds", 120},
           Row{"/spec/ttlSecondsAfterFinished", 3600},
           Row{"/spec/template/spec/restartPolicy", "Never"},
           Row{"/spec/template/spec/automountServiceAccountToken", false},
           Row{"/spec/template/spec/enableServiceLinks", false},
           Row{"/spec/template/spec/hostNetwork", nullptr},
           Row{"/spec/template/spec/hostPID", nullptr},
           Row{"/spec/template/spec/serviceAccountName", nullptr},
           Row{"/spec/template/spec/securityContext/runAsNonRoot", true},
           Row{"/spec/template/spec/securityContext/runAsUser", 65532},
           Row{"/spec/template/spec/securityContext/runAsGroup", 65532},
           Row{"/spec/template/spec/securityContext/seccompProfile/type", "RuntimeDefault"},
           Row{"/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation", false},
           Row{"/spec/template/spec/containers/0/securityContext/privileged", false},
           Row{"/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem", true},
           Row{"/spec/template/spec/containers/0/securityContext/capabilities", {{"drop", {"ALL"}}}},
           Row{"/spec/template/spec/containers/0/resources/limits",
               {{"cpu", "1"}, {"memory", "256Mi"}, {"ephemeral-storage", "128Mi"}}},
           Row{"/spec/template/spec/containers/0/image", "tools:1"},
           Row{"/spec/template/spec/containers/0/envFrom", nullptr},
           Row{"/spec/template/spec/containers/0/volumeMounts",
               json::array({{{"name", "tmp"}, {"mountPath", "/tmp"}}})},
           Row{"/spec/template/spec/volumes", json::array({{{"name", "tmp"}, {"emptyDir", {{"sizeLimit", "64Mi"}}}}})},
           Row{"/metadata/labels/app.kubernetes.io~1name", "upgrade-gate-script"},
           Row{"/metadata/labels/app.kubernetes.io~1managed-by", "upgrade-gate"},
           Row{"/metadata/labels/starrocks.com~1cluster", "sr"},
           Row{"/metadata/annotations/gate.starrocks.com~1hook", "warm up"},
       }) {
    const std::string name = row.pointer;
    INFO(name);
    CHECK(field(row.pointer) == row.value);
  }
  CHECK(field("/spec/template/spec/containers").size() == 1);
  CHECK(field("/spec/template/spec/initContainers").is_null());
  const json owner = field("/metadata/ownerReferences/0");
  CHECK(owner.at("kind") == "UpgradePreparation");
  CHECK(owner.at("name") == world.record.name);
  CHECK(owner.at("uid") == world.record.uid);
  CHECK_FALSE(owner.contains("blockOwnerDeletion"));
}

TEST_CASE("the script is told where the FE is and what changes, the password only by reference") {
  struct Row {
    const char* name;
    const char* variables;
    const char* annotations;
    const char* username;
    json password;
  };
  for (const Row& row : {
           Row{"root without a password", "[]", "{}", "root", nullptr},
           Row{"a password in the object is not copied into another", "[{name: MYSQL_PWD, value: hunter2}]", "{}",
               "root", nullptr},
           Row{"root's Secret",
               "[{name: MYSQL_PWD, valueFrom: {secretKeyRef: {name: rootcredential, key: password}}}]",
               "{}",
               "root",
               {{"secretKeyRef", {{"name", "rootcredential"}, {"key", "password"}}}}},
           Row{"root's ConfigMap",
               "[{name: MYSQL_PWD, valueFrom: {configMapKeyRef: {name: rootconfig, key: password}}}]",
               "{}",
               "root",
               {{"configMapKeyRef", {{"name", "rootconfig"}, {"key", "password"}}}}},
           Row{"the Secret of a login",
               "[]",
               "{starrocks.com/upgrade-credentials-secret: upgrader}",
               "up",
               {{"secretKeyRef", {{"name", "upgrader"}, {"key", "password"}}}}},
       }) {
    INFO(row.name);
    World world(row.variables, row.annotations);
    CHECK(world.run().phase == JobPhase::Running);
    const json object = world.object();
    json expected{{"SR_FE_HOST", "sr-fe-service." + world.name_space + ".svc"},
                  {"SR_FE_PORT", "19030"},
                  {"SR_FE_USER", row.username},
                  {"SR_CLUSTER", "sr"},
                  {"SR_NAMESPACE", world.name_space},
                  {"SR_UPGRADE_PREPARATION", "sr-1"},
                  {"SR_UPGRADE_FUNCTION", "pre_upgrade"},
                  {"SR_UPGRADE_FROM_FE", "starrocks/fe-ubuntu:3.3.1"},
                  {"SR_UPGRADE_TO_FE", "starrocks/fe-ubuntu:3.4.0"},
                  {"SR_UPGRADE_FROM_BE", "starrocks/be-ubuntu:3.3.1"},
                  {"SR_UPGRADE_TO_BE", "starrocks/be-ubuntu:3.4.0"}};
    if (!row.password.is_null()) expected["SR_FE_PASSWORD"] = expected["MYSQL_PWD"] = row.password;
    CHECK(environment_of(object) == expected);
    CHECK(object.dump().find("hunter2") == std::string::npos);
  }
}

TEST_CASE("the shell runs the function as the script defines it, whatever the script quotes") {
  struct Row {
    const char* name;
    const char* script;
    int exit_code;
    const char* out;
  };
  for (const Row& row : {
           Row{"expansions are the shell's, not the kubelet's", kScript, 0, "hello fe  $$(x)\n"},
           Row{"both kinds of quotes and a dollar at the end", "pre_upgrade() { echo \"a'b\" 'c\"d' $; }", 0,
               "a'b c\"d $\n"},
           Row{"no positional parameters", "echo \"$#\"; pre_upgrade() { echo \"$#\"; }", 0, "0\n0\n"},
           Row{"the function's failure", "pre_upgrade() { return 3; }", 3, ""},
           Row{"an exit", "pre_upgrade() { exit 4; }", 4, ""},
           Row{"no such function", "post_upgrade() { :; }", 127, ""},
           Row{"a syntax error", "pre_upgrade() {", 2, ""},
           Row{"a syntax error behind a command", "echo loaded\npre_upgrade() { echo hi; }\nfi", 2, ""},
       }) {
    INFO(row.name);
    World world;
    world.job.script = row.script;
    CHECK(world.run().phase == JobPhase::Running);
    const json container = world.object().at("spec").at("template").at("spec").at("containers").at(0);
    std::vector<std::string> words;
    for (const char* part : {"command", "args"}) {
      for (const auto& word : container.at(part)) words.push_back(unexpanded_by_kubelet(word.get<std::string>()));
    }
    CHECK(words.at(4) == row.script);
    // What $(SR_FE_PORT) runs: a command of that name, which there is not.
    const auto ran =
        test::run_process(words.at(0), {words.begin() + 1, words.end()}, {.environment = {"SR_FE_HOST=fe"}});
    CHECK(ran.exit_code == row.exit_code);
    CHECK(ran.out == row.out);
  }
}

TEST_CASE("the pods pass the restricted Pod Security Standard, which is enforced") {
  World world;
  world.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\n");
  const auto labelled = test::api_server().kubectl(
      {"label", "namespace", world.name_space, "pod-security.kubernetes.io/enforce=restricted"});
  REQUIRE_MESSAGE(labelled.exit_code == 0, labelled.err);
  CHECK(world.run().phase == JobPhase::Running);
  world.make_pod("good", {{"phase", "Pending"}});

  json spec = world.object().at("spec").at("template").at("spec");
  spec.at("securityContext").erase("seccompProfile");
  const auto refused = world.client->create_object(
      kube::kPods, world.name_space,
      {{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", {{"name", "bad"}}}, {"spec", spec}}, in_seconds(30));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message.find("PodSecurity") != std::string::npos);
}

TEST_CASE("a Job is made once, and its outcome is honoured") {
  for (const bool good : {true, false}) {
    INFO(good);
    World world;
    const auto first = world.run();
    CHECK(first.phase == JobPhase::Running);
    CHECK_MESSAGE(first.detail.find("it has no pod yet") != std::string::npos, first.detail);
    const std::string uid = world.object().at("metadata").at("uid");
    CHECK(world.run().phase == JobPhase::Running);
    CHECK(world.object().at("metadata").at("uid") == uid);

    world.make_pod("pod", container_state("terminated", {{"exitCode", good ? 0 : 3}}));
    world.end_job(good);
    const auto last = world.run();
    CHECK(last.phase == (good ? JobPhase::Succeeded : JobPhase::Failed));
    const bool explained = last.detail.find("BackoffLimitExceeded") != std::string::npos &&
                           last.detail.find("exit code 3") != std::string::npos;
    CHECK_MESSAGE(explained == !good, last.detail);
    CHECK(world.object().at("metadata").at("uid") == uid);

    CHECK(world.jobs.remove(world.record, world.job, in_seconds(30)).ok());
    const auto gone = world.client->get(kube::kJobs, world.name_space,
                                        KubeScriptJobs::job_name(world.record, world.job), in_seconds(30));
    REQUIRE_FALSE(gone.ok());
    CHECK(gone.error().code == ErrorCode::NotFound);
    CHECK(world.jobs.remove(world.record, world.job, in_seconds(30)).ok());
  }
}

TEST_CASE("what a pod waits for is told") {
  struct Row {
    const char* name;
    json status;
    const char* says;
  };
  for (const Row& row : {
           Row{"an image that cannot be pulled",
               container_state("waiting", {{"reason", "ImagePullBackOff"}, {"message", "Back-off pulling image"}}),
               "ImagePullBackOff: Back-off pulling image"},
           Row{"a Secret that is not there",
               container_state("waiting",
                               {{"reason", "CreateContainerConfigError"}, {"message", "secret \"x\" not found"}}),
               "CreateContainerConfigError: secret \"x\" not found"},
           Row{"no node",
               {{"phase", "Pending"},
                {"conditions",
                 {{{"type", "PodScheduled"},
                   {"status", "False"},
                   {"reason", "Unschedulable"},
                   {"message", "0/3 nodes are available\n"}}}}},
               "waits for a node: Unschedulable: 0/3 nodes are available"},
           Row{"the kubelet", {{"phase", "Pending"}}, "not started yet"},
           Row{"a long story",
               container_state("waiting", {{"reason", "ErrImagePull"}, {"message", std::string(5000, 'x')}}),
               "ErrImagePull: xxx"},
       }) {
    INFO(row.name);
    World world;
    CHECK(world.run().phase == JobPhase::Running);
    world.make_pod("of-somebody-else", container_state("waiting", {{"reason", "Fabricated"}}), /*ours=*/false);
    world.make_pod("pod", row.status);
    const auto state = world.run();
    CHECK(state.phase == JobPhase::Running);
    CHECK_MESSAGE(state.detail.find(row.says) != std::string::npos, state.detail);
    CHECK(state.detail.find("Fabricated") == std::string::npos);
    CHECK(state.detail.find('\n') == std::string::npos);
    CHECK(state.detail.size() <= 1024);
  }
}

TEST_CASE("a Job that is being deleted says nothing any more, and the next one is a new one") {
  World world;
  CHECK(world.run().phase == JobPhase::Running);
  const json first = world.object();
  world.end_job(false);
  const std::string name = KubeScriptJobs::job_name(world.record, world.job);
  const auto hold = [&](const json& finalizers) {
    return world.client->merge_patch(kube::kJobs, world.name_space, name, {},
                                     {{"metadata", {{"finalizers", finalizers}}}}, in_seconds(30));
  };
  REQUIRE(hold({"test.starrocks.com/hold"}).ok());
  CHECK(world.jobs.remove(world.record, world.job, in_seconds(30)).ok());
  const auto leaving = world.run();
  CHECK(leaving.phase == JobPhase::Running);
  CHECK_MESSAGE(leaving.detail.find("being deleted") != std::string::npos, leaving.detail);
  REQUIRE(hold(nullptr).ok());
  CHECK(world.run().phase == JobPhase::Running);
  CHECK(world.object().at("metadata").at("uid") != first.at("metadata").at("uid"));
}

TEST_CASE("a Job that somebody else made is neither taken for ours nor removed") {
  World world;
  const std::string name = KubeScriptJobs::job_name(world.record, world.job);
  world.apply("apiVersion: batch/v1\nkind: Job\nmetadata: {name: " + name +
              "}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}\n");
  const auto state = world.jobs.run(world.record, world.job, in_seconds(30));
  REQUIRE_FALSE(state.ok());
  CHECK(state.error().code == ErrorCode::Rejected);
  CHECK(state.error().message.find(name) != std::string::npos);
  CHECK(world.jobs.remove(world.record, world.job, in_seconds(30)).ok());
  CHECK(world.client->get(kube::kJobs, world.name_space, name, in_seconds(30)).ok());
}

TEST_CASE("without an image or rights, and with too large a script, nothing is made and it is said why") {
  World world;
  KubeScriptJobs without_image(*world.client, world.access, {""});
  CHECK(without_image.unavailable_because().find("--script-hook-image") != std::string::npos);
  CHECK(world.jobs.unavailable_because().empty());
  const auto no_image = without_image.run(world.record, world.job, in_seconds(30));
  REQUIRE_FALSE(no_image.ok());
  CHECK(no_image.error().code == ErrorCode::InvalidInput);

  const auto nobody = test::make_client(test::kNobody);
  KubeScriptJobs without_rights(*nobody, world.access, {"tools:1"});
  const auto no_rights = without_rights.run(world.record, world.job, in_seconds(30));
  REQUIRE_FALSE(no_rights.ok());
  CHECK(no_rights.error().code == ErrorCode::PermissionDenied);
  CHECK(no_rights.error().message.find("manifests/components/script-hooks") != std::string::npos);

  ScriptJob large = world.job;
  large.script = std::string(kScriptBytesMax + 1, '#');
  const auto too_large = world.jobs.run(world.record, large, in_seconds(30));
  REQUIRE_FALSE(too_large.ok());
  CHECK(too_large.error().code == ErrorCode::InvalidInput);
  CHECK(world.client->list(kube::kJobs, world.name_space, in_seconds(30))->items.empty());
  large.script.pop_back();
  for (char& c : large.script) c = '$';  // doubled on its way
  CHECK(world.jobs.run(world.record, large, in_seconds(30)).ok());
}

}  // namespace gate
