// Goal: what a pipeline sees of a change before it is applied, word by word, and its exit code.
// Method: command lines as they are typed, in the folder of the sample manifests; each text is a file there. A text
// that changed on purpose is replaced by NAME.actual, which a run that fails leaves in the build folder of this test.

#include "server/plan/plan.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "server/app/options.hpp"
#include "test/policy/golden.hpp"
#include "test/server/plan/shapes.hpp"

namespace gate {
namespace {

std::string text_of(const std::string& file) {
  std::ifstream stream(file);
  REQUIRE_MESSAGE(stream, file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// What `upgrade-gate plan ARGUMENTS` does in the folder of the samples.
PlanResult plan_of(const std::string& arguments, const std::string& standard_input = "") {
  std::filesystem::current_path(GATE_PLAN_SAMPLES);
  std::vector<std::string> words{"upgrade-gate", "plan"};
  std::istringstream split(arguments);
  for (std::string word; split >> word;) words.push_back(word);
  std::vector<const char*> argv;
  for (const auto& word : words) argv.push_back(word.c_str());
  const auto line = parse_command_line(static_cast<int>(argv.size()), argv.data());
  CHECK_FALSE(line.serve);
  if (!line.plan) return {line.exit_code, "", line.text};
  std::istringstream input(standard_input);
  return plan(line.plan_options, input);
}

TEST_CASE("a plan tells what changes, the hooks word by word, the way between the versions, and the answer") {
  struct Row {
    const char* expected;  ///< NAME.expected
    const char* arguments;
    int exit_code;
  };
  for (const Row& row : {
           Row{"upgrade", "cluster-old.yaml cluster-new.yaml hooks.yaml", 0},
           Row{"too-far", "--old cluster-old.yaml --new cluster-too-far.yaml hooks.yaml --version-policy enforce", 1},
           Row{"invalid", "invalid.yaml", 1},
           Row{"outside",
               "other-hooks.yaml --set-image fe=starrocks/fe-ubuntu:4.0.3 --set-image be=starrocks/be-ubuntu:4.0.3 "
               "--allow-sql alter-system --http-hook-prefixes https://change.example/ --script-hook-image tools:1",
               0},
           Row{"outside-refused", "other-hooks.yaml --set-image be=starrocks/be-ubuntu:4.0.3", 1},
           Row{"verify", "verify.yaml --set-image be=starrocks/be-ubuntu:3.5.8 -n sandbox", 0},
           Row{"warehouse", "warehouse.json --set-image warehouse=starrocks/cn-ubuntu:latest --output json", 0},
       }) {
    INFO(row.expected);
    const auto made = plan_of(row.arguments);
    CHECK(made.exit_code == row.exit_code);
    CHECK(made.error.empty());
    const bool as_expected = made.output == text_of(std::string(row.expected) + ".expected");
    CHECK_MESSAGE(as_expected, made.output);
    if (!as_expected) std::ofstream(std::string(GATE_PLAN_ACTUAL) + "/" + row.expected + ".actual") << made.output;
  }
}

TEST_CASE("the answer follows the policy, and what was given") {
  struct Row {
    const char* name;
    const char* arguments;
    int exit_code;
    const char* said;
  };
  for (const Row& row : {
           Row{"nothing changes", "cluster-old.yaml hooks.yaml", 0, "verdict    allowed: no image changes"},
           Row{"created", "--new cluster-new.yaml hooks.yaml", 0, "verdict    allowed: a new object is never held"},
           Row{"deleted", "--old cluster-old.yaml", 0, "verdict    allowed: a deletion is never held"},
           Row{"deleted, pointed at", "--old cluster-old.yaml", 0,
               "note       only in the old manifests: treated as deleted; if it is not, compare its kind"},
           Row{"created, pointed at", "--new cluster-new.yaml hooks.yaml", 0,
               "note       only in the new manifests: treated as new; if it is not"},
           Row{"an object on both sides counts where the other is missing",
               "cluster-old.yaml --new cluster-new.yaml hooks.yaml", 0, "verdict    held: "},
           Row{"not configured", "other-hooks.yaml --old warehouse.json --new warehouse.json", 1,
               "StarRocksWarehouse analytics/night-jobs\n"},
           Row{"a way that is only warned of", "cluster-old.yaml cluster-too-far.yaml hooks.yaml", 0,
               "path       forbidden: fe, be 3.4.2 -> 4.0.3 skips minor versions"},
           Row{"a way that nobody judges", "cluster-old.yaml cluster-too-far.yaml hooks.yaml --version-policy off", 0,
               "verdict    held: "},
           Row{"hooks that were not given", "cluster-old.yaml cluster-new.yaml", 0,
               "warning    ConfigMap sales-hooks not found in the input: its hooks were not validated"},
           Row{"hooks that had to be given", "cluster-old.yaml cluster-new.yaml --strict", 1,
               "fault      ConfigMap sales-hooks not found in the input: its hooks were not validated"},
           Row{"the gate's own hooks",
               "cluster-old.yaml hooks.yaml --set-image fe=fe:3.4.3 --default-hooks create-image", 0,
               "hook 14    create-image: may fail"},
           Row{"hooks alone", "hooks.yaml", 0, "  verdict    valid: 6 hooks\n"},
       }) {
    INFO(row.name);
    const auto made = plan_of(row.arguments);
    INFO(made.output);
    CHECK(made.exit_code == row.exit_code);
    CHECK(made.error.empty());
    CHECK(made.output.find(row.said) != std::string::npos);
  }
}

TEST_CASE("a led rollout is planned with its turns, their pods and what a step waits for") {
  const std::string manifest = R"(apiVersion: starrocks.com/v1
kind: StarRocksCluster
metadata: {name: sr, namespace: db, annotations: {starrocks.com/prepare-upgrade: "true", EXTRA}}
spec:
  starRocksFeSpec: {image: "fe:3.4.2", replicas: 3}
  starRocksBeSpec: {image: "be:3.4.2", replicas: 4}
  starRocksCnSpec: {image: "cn:3.4.2"}
)";
  struct Row {
    const char* name;
    std::string annotations;
    std::string arguments;
    std::vector<std::string> said;
    std::vector<std::string> not_said;
  };
  const std::string up = "- --set-image fe=fe:3.4.3 --set-image be=be:3.4.3 --set-image cn=cn:3.4.3";
  const std::string down = "- --set-image fe=fe:3.4.1 --set-image be=be:3.4.1";
  for (const Row& row :
       {Row{"stepwise",
            "starrocks.com/upgrade-rollout: stepwise",
            up,
            {"rollout    stepwise, where the namespace has the label gate.starrocks.com/rollouts=enabled",
             "turn 1     be: StatefulSet sr-be, 4 pods, one a step: sr-be-3 first, sr-be-0 last\n",
             "turn 2     cn: StatefulSet sr-cn, one pod a step\n",
             "turn 3     fe: StatefulSet sr-fe, 3 pods, one a step: sr-fe-2 first, sr-fe-0 last; after ALTER SYSTEM",
             "3 times in a row: every FE is alive", "paused after 900 s", "verdict    held: "},
            {}},
        Row{"ordered, downgrade",
            "starrocks.com/upgrade-rollout: ordered",
            down,
            {"turn 1     fe: StatefulSet sr-fe, 3 pods\n", "turn 2     be: StatefulSet sr-be, 4 pods\n"},
            {"CREATE IMAGE", "one a step", "cn: StatefulSet"}},
        Row{"hold alone",
            "starrocks.com/upgrade-admission: hold",
            up,
            {"verdict    allowed: at once; its pods stay as they are until these hooks have completed"},
            {"turn 1", "is denied as"}},
        Row{"by the gate's defaults",
            "",
            up + " --upgrade-rollout ordered --upgrade-admission hold",
            {"turn 1     be: ", "verdict    allowed: at once"},
            {}},
        Row{"not led", "", up, {"verdict    held: "}, {"turn 1", "rollout    "}}}) {
    INFO(row.name);
    auto text = manifest;
    const auto at = text.find(", EXTRA");
    text.replace(at, 7, row.annotations.empty() ? "" : ", " + row.annotations);
    const auto made = plan_of(row.arguments, text);
    INFO(made.output);
    INFO(made.error);
    for (const auto& part : row.said) CHECK(made.output.find(part) != std::string::npos);
    for (const auto& part : row.not_said) CHECK(made.output.find(part) == std::string::npos);
  }
}

TEST_CASE("what makes no sense ends with 2, says what it is, and prints no plan") {
  struct Row {
    const char* name;
    const char* arguments;
    const char* standard_input;
    const char* said;
  };
  std::vector<std::pair<std::string, std::string>> texts;
  for (const Row& row : {
           Row{"no file", "", "", "hold no StarRocksCluster"},
           Row{"a file that is not there", "missing.yaml", "",
               "missing.yaml: cannot be read: No such file or directory"},
           Row{"an address", "https://example.com/sr.yaml", "", "curl URL | upgrade-gate plan -"},
           Row{"standard input for both sides", "--old - --new -",
               "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr}\nspec: {}\n",
               "- is named twice"},
           Row{"a merge that is not resolved", "-",
               "apiVersion: starrocks.com/v1\n<<<<<<< HEAD\nkind: a\n=======\nkind: b\n>>>>>>> x\n",
               "line 2: a conflict marker of git"},
           Row{"what kubectl diff prints", "-",
               "diff -u -N /tmp/LIVE-1/a /tmp/MERGED-2/a\n--- /tmp/LIVE-1/a\n+++ /tmp/MERGED-2/a\n@@ -1 +1 @@\n",
               "want the objects before and after"},
           Row{"a kustomization", "-",
               "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a]\n",
               "-: line 1: a Kustomization: want it rendered, kubectl kustomize FOLDER | upgrade-gate plan -"},
           Row{"nothing but others", "-", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n",
               "; they hold 1 Service"},
           Row{"no YAML", "-", "a: [b", "-: line 1"},
           Row{"no JSON", "-", "{\"a\": ", "-: "},
           Row{"a template that nobody rendered", "-", "image: {{ .Values.image }}\n", "-: line 1"},
           Row{"an object without a name", "-", "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\n",
               "no metadata.name"},
           Row{"three versions", "cluster-old.yaml cluster-new.yaml cluster-too-far.yaml", "", "given more than twice"},
           Row{"two old versions", "--old cluster-old.yaml cluster-new.yaml", "", "twice on one side"},
           Row{"an unknown component", "cluster-old.yaml --set-image proxy=nginx:1", "", "COMPONENT=IMAGE"},
           Row{"an image without a component", "cluster-old.yaml --set-image nginx:1", "", "COMPONENT=IMAGE"},
           Row{"a component without an image", "cluster-old.yaml --set-image fe=", "", "COMPONENT=IMAGE"},
           Row{"one component, two images", "cluster-old.yaml --set-image be=be:1 --set-image be=be:2", "",
               "--set-image: be is given two images"},
           Row{"a namespace that is none", "cluster-old.yaml -n Prod_1", "", "--namespace: invalid value \"Prod_1\""},
           Row{"no namespace", "cluster-old.yaml --namespace=", "", "--namespace: invalid value \"\""},
           Row{"a chart's own file", "-", "apiVersion: v2\nname: a\nversion: 1.0.0\n",
               "-: line 1: a document without kind; it has apiVersion, name, version"},
           Row{"a chart's values", "-", "image: a\n", "a document without apiVersion and kind; it has image"},
           Row{"two objects in one JSON document", "-", R"({"apiVersion":"v1","kind":"Service","kind":"Secret"})",
               "line 1: kind is there twice in one document"},
           Row{"nothing but what deploys a cluster", "-",
               "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: sales}\n",
               "; they hold 1 HelmRelease; not judged: what HelmRelease sales deploys: want it rendered, helm "
               "template"},
           Row{"a component that is not there", "cluster-old.yaml --set-image cn=cn:3.5.7", "",
               "no object has an image of cn"},
           Row{"a name made to be printed", "-",
               "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: \"\\e[2J\"}\n---\n"
               "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: \"\\e[2J\"}\n---\n"
               "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: \"\\e[2J\"}\n",
               "metadata.name: invalid value \" [2J\": want lower case letters, digits, '-' and '.' (the value has "
               "U+001B "
               "(control character))"},
           Row{"an unknown form", "cluster-old.yaml --output xml", "", "--output"},
           Row{"an unknown policy", "cluster-old.yaml --version-policy strict", "", "--version-policy"},
           Row{"a prefix that is no URL", "cluster-old.yaml --http-hook-prefixes ftp://x", "", "--http-hook-prefixes"},
       }) {
    INFO(row.name);
    const auto made = plan_of(row.arguments, row.standard_input);
    CHECK(made.exit_code == 2);
    CHECK(made.output.empty());
    INFO(made.error);
    CHECK(made.error.find(row.said) != std::string::npos);
    texts.emplace_back(row.name, made.error);
  }
  for (const test::Shape& shape : test::shapes()) {
    if (!shape.said.empty()) texts.emplace_back(shape.name, plan_of("- --set-image fe=fe:3.5.8", shape.text).error);
  }
  // As a whole, at 80 columns.
  test::check_texts(texts, GATE_PLAN_SAMPLES "/errors.expected", GATE_PLAN_ACTUAL "/errors.actual");
}

TEST_CASE("a cluster is read in every shape that kubectl takes, and what cannot be read is never passed over") {
  for (const test::Shape& shape : test::shapes()) {
    INFO(shape.name);
    const auto made = plan_of("- --set-image fe=fe:3.5.8", shape.text);
    INFO(made.output, made.error);
    CHECK(made.exit_code == (shape.said.empty() ? 0 : 2));
    if (shape.said.empty()) {
      CHECK(made.output.find("StarRocksCluster default/sr\n  change     fe fe:3.5.7 -> fe:3.5.8") == 0);
    } else {
      CHECK(made.error.find(shape.said) != std::string::npos);
    }
  }
}

TEST_CASE("what a cluster comes of is said where it is passed over, and is a fault where all must be judged") {
  const std::string kCluster =
      "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr}\n"
      "spec: {starRocksFeSpec: {image: 'fe:3.5.7'}}\n";
  const std::string kInside =
      "{apiVersion: starrocks.com/v1, kind: StarRocksCluster, metadata: {name: other}, "
      "spec: {starRocksFeSpec: {image: 'fe:3.5.7'}}}";
  const auto object = [](const std::string& api_version, const std::string& kind, const std::string& rest) {
    return "apiVersion: " + api_version + "\nkind: " + kind + "\nmetadata: {name: x}\n" + rest + "\n";
  };
  const struct {
    const char* name;
    std::string text;
    const char* said;  ///< "": it is passed over.
  } rows[] = {
      {"a HelmRelease", object("helm.toolkit.fluxcd.io/v2", "HelmRelease", "spec: {}"),
       "not judged: what HelmRelease x deploys: want it rendered, helm template"},
      {"a chart of k3s", object("helm.cattle.io/v1", "HelmChart", "spec: {}"), "not judged: what HelmChart x deploys"},
      {"a Kustomization of Flux", object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "spec: {}"),
       "want it rendered, kubectl kustomize FOLDER"},
      {"an Application", object("argoproj.io/v1alpha1", "Application", "spec: {}"),
       "want it rendered, argocd app manifests NAME"},
      {"an ApplicationSet", object("argoproj.io/v1alpha1", "ApplicationSet", "spec: {}"),
       "what ApplicationSet x deploys"},
      {"a ManifestWork",
       object("work.open-cluster-management.io/v1", "ManifestWork", "spec: {workload: {manifests: [" + kInside + "]}}"),
       "not judged: the StarRocksCluster inside of ManifestWork x: want it as a document of its own"},
      {"a Template", object("template.openshift.io/v1", "Template", "objects: [{kind: A}, " + kInside + "]"),
       "not judged: the StarRocksCluster inside of Template x"},
      {"an Application of somebody else", object("app.k8s.io/v1beta1", "Application", "spec: {}"), ""},
      {"one that refers to a cluster", object("example.com/v1", "Backup", "spec: {ref: {kind: StarRocksCluster}}"), ""},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    const bool passed_over = *row.said == '\0';
    const auto made = plan_of("- --set-image fe=fe:3.5.8", kCluster + "---\n" + row.text);
    INFO(made.output, made.error);
    CHECK(made.exit_code == 0);
    CHECK(made.output.find("skipped: 1 ") != std::string::npos);
    CHECK(made.output.find(row.said) != std::string::npos);
    CHECK((made.output.find("not judged: ") == std::string::npos) == passed_over);
    CHECK(plan_of("- --strict", kCluster + "---\n" + row.text).exit_code == (passed_over ? 0 : 1));
  }
}

TEST_CASE("an image that is taken away is said, and one that comes is not") {
  const auto cluster = [](const std::string& spec) {
    return "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr}\nspec: {" + spec + "}\n---\n";
  };
  const struct {
    const char* name;
    const char* before;
    const char* after;
    const char* said;
  } rows[] = {
      {"null for an image", "starRocksFeSpec: {image: 'fe:1'}", "starRocksFeSpec: {image: null}",
       "note       the image of fe is taken away, which is never held"},
      {"a component that goes", "starRocksFeSpec: {image: 'fe:1'}, starRocksCnSpec: {image: 'cn:1'}",
       "starRocksFeSpec: {image: 'fe:1'}", "the image of cn is taken away"},
      {"two at once", "starRocksFeSpec: {image: 'fe:1'}, starRocksBeSpec: {image: 'be:1'}", "",
       "the image of fe, be is taken away"},
      {"a component that comes", "starRocksFeSpec: {image: 'fe:1'}",
       "starRocksFeSpec: {image: 'fe:1'}, starRocksCnSpec: {image: 'cn:1'}", ""},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    const auto made = plan_of("-", cluster(row.before) + cluster(row.after));
    INFO(made.output, made.error);
    CHECK(made.exit_code == 0);
    CHECK(made.output.find(row.said) != std::string::npos);
    CHECK((made.output.find("note ") == std::string::npos) == (*row.said == '\0'));
  }
}

TEST_CASE("a folder is its manifests, in folders too where that is asked for") {
  const auto folder = std::filesystem::path(GATE_PLAN_ACTUAL) / "folder";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder / "deep" / "er");
  const auto write = [&](const std::string& name, const std::string& text) { std::ofstream(folder / name) << text; };
  const auto cluster = [](const std::string& name) {
    return "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: " + name +
           "}\nspec: {starRocksFeSpec: {image: 'fe:3.5.7'}}\n";
  };
  const auto path = folder.string();
  CHECK(plan_of(path).error == path + ": no file ends in .json, .yaml or .yml; --recursive reads the folders in it\n");
  write("a.yaml", cluster("a"));
  write("b.yml", cluster("b") + "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\n");
  write("c.txt", "no manifest");
  write("deep/d.yaml", cluster("d"));
  write("deep/er/e.json", R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"}})");
  const auto flat = plan_of(path + " --set-image fe=fe:3.5.8");
  INFO(flat.error);
  CHECK(flat.exit_code == 0);
  CHECK(flat.output.find("default/a\n") != std::string::npos);
  CHECK(flat.output.find("default/b\n") != std::string::npos);
  CHECK(flat.output.find("default/d\n") == std::string::npos);
  CHECK(flat.output.find("skipped: 1 Service\n") != std::string::npos);
  const auto deep = plan_of("-R " + path + " --set-image fe=fe:3.5.8");
  CHECK(deep.output.find("default/d\n") != std::string::npos);
  CHECK(deep.output.find("skipped: 1 Deployment, 1 Service\n") != std::string::npos);
  write("deep/er/Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\n");
  CHECK(plan_of(path).exit_code == 0);
  CHECK(
      plan_of("-R " + path).error.find("is a Helm chart: want it rendered, helm template NAME " + path + "/deep/er") !=
      std::string::npos);
  std::filesystem::remove(folder / "deep" / "er" / "Chart.yaml");
  write("deep/kustomization.yaml", "resources: [d.yaml]\n");
  CHECK(plan_of(path).exit_code == 0);
  CHECK(plan_of("-R " + path).error.find("is a kustomization: want it rendered, kubectl kustomize " + path + "/deep") !=
        std::string::npos);
}

TEST_CASE("aliases and depth are bounded, whatever a file repeats") {
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 1; j < 10; ++j) laughs += ", " + before;
    laughs += "]\n";
  }
  const auto made = plan_of("-", laughs);
  CHECK(made.exit_code == 2);
  CHECK(made.error.find("aliases expand to more than 1048576 bytes") != std::string::npos);

  std::string tower = "a0: &a0 [" + std::string(40, '[') + std::string(40, ']') + "]\n";
  for (int i = 1; i < 2000; ++i) {
    tower += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [[[[*a" + std::to_string(i - 1) + "]]]]\n";
  }
  const auto deep = plan_of("-", tower);
  CHECK(deep.exit_code == 2);
  CHECK(deep.error.find("nested more than 64 deep") != std::string::npos);
}

TEST_CASE("a ConfigMap that no hook is read from may have what kubectl takes; one that is used may not") {
  const std::string config_map =
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: h}\ndata: {a.sql: SHOW FRONTENDS, b: x, b: y}\n---\n";
  const auto cluster = [](const std::string& annotation) {
    return "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\nmetadata: {name: sr, annotations: {" + annotation +
           "}}\nspec: {starRocksFeSpec: {image: 'fe:3.5.7'}}\n";
  };
  CHECK(plan_of("- --set-image fe=fe:3.5.8", config_map + cluster("")).exit_code == 0);
  const auto used =
      plan_of("- --set-image fe=fe:3.5.8", config_map + cluster("starrocks.com/upgrade-hooks-configmap: h"));
  CHECK(used.exit_code == 2);
  CHECK(used.error.find("line 4: the key \"b\" is there twice (in ConfigMap default/h)") != std::string::npos);
}

TEST_CASE("standard input is a file like any other, and control characters in it never reach the terminal") {
  const auto made = plan_of("- --set-image fe=starrocks/fe-ubuntu:3.5.8",
                            "apiVersion: starrocks.com/v1\nkind: StarRocksCluster\n"
                            "metadata: {name: sr, annotations: {starrocks.com/prepare-upgrade: \"true\"}}\n"
                            "spec: {starRocksFeSpec: {image: \"f\\e[2Je:3.5.7\"}}\n");
  CHECK(made.exit_code == 0);
  CHECK(made.output.find("f [2Je:3.5.7 -> starrocks/fe-ubuntu:3.5.8 (patch)") != std::string::npos);
  CHECK(made.output.find('\x1b') == std::string::npos);
}

TEST_CASE("JSON has every part of the plan under a name of its own") {
  const auto made = plan_of("--old cluster-old.yaml --new cluster-too-far.yaml hooks.yaml invalid.yaml -o json");
  CHECK(made.exit_code == 1);
  const auto out = nlohmann::json::parse(made.output);
  CHECK(out.at("ok") == false);
  REQUIRE(out.at("objects").size() == 2);
  const auto& cluster = out.at("objects").at(0);
  CHECK(cluster.at("namespace") == "analytics");
  CHECK(cluster.at("verdict").at("answer") == "held");
  CHECK(cluster.at("path").at(0).at("rule") == "skipped-minor");
  CHECK(cluster.at("path").at(0).at("severity") == "forbidden");
  CHECK(cluster.at("hooks").size() == 14);
  CHECK(cluster.at("leftOut").empty());
  const auto& faulty = out.at("objects").at(1);
  CHECK(faulty.at("faults").size() == 3);
  CHECK(faulty.at("verdict").at("reason") == "UpgradeHooksInvalid");
  CHECK(out.at("configMaps").at(0).at("name") == "sales-hooks");
}

}  // namespace
}  // namespace gate
