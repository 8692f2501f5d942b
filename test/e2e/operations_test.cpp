// Goal: what an administrator sees beside kubectl: `check`, `probe`, dashboards and alerts, of the real gate. Method:
// as in gate_test.cpp; Debian's Prometheus scrapes the gate through an upgrade and its way back.

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>

#include "server/httplib.hpp"
#include "test/e2e/scene.hpp"

using namespace gate;
using namespace gate::test;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

ProcessResult run_gate(Scene& scene, std::vector<std::string> arguments) {
  arguments.emplace_back("--kubeconfig=" + scene.plane.kubernetes().kubeconfig().string());
  return run_process(gate_binary(), arguments);
}

/// result of the line whose subject begins so; "" where there is none.
std::string result_of(const std::string& output, const std::string& subject) {
  const auto lines = json::parse(output, nullptr, false);
  if (!lines.is_array()) return "not JSON: " + output;
  for (const auto& line : lines) {
    if (line.at("subject").get<std::string>().starts_with(subject)) return line.at("result");
  }
  return "";
}

/// Scrapes the gate every second, by the rules and settings that we tell people.
class Prometheus {
 public:
  Prometheus(std::uint16_t ops_port, const std::string& program) : port_(free_port()) {
    const auto directory = ControlPlane::get().file("prometheus");
    std::filesystem::create_directories(directory);
    std::ofstream(directory / "prometheus.yml")
        << "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        << "rule_files: ['" << kSource << "/manifests/monitoring/alerts.yaml']\n"
        << "scrape_configs: [{job_name: upgrade-gate, honor_labels: true, static_configs: [{targets: ['127.0.0.1:"
        << ops_port << "']}]}]\n";
    pid_ = start_process(program,
                         {"--config.file=" + (directory / "prometheus.yml").string(),
                          "--storage.tsdb.path=" + (directory / "data").string(),
                          "--web.listen-address=127.0.0.1:" + std::to_string(port_)},
                         "prometheus.log");
    REQUIRE(pid_ > 0);
  }
  ~Prometheus() { kill_and_reap(pid_); }
  Prometheus(const Prometheus&) = delete;
  Prometheus& operator=(const Prometheus&) = delete;

  [[nodiscard]] json get(const std::string& path, const httplib::Params& parameters = {}) const {
    httplib::Client client("127.0.0.1", port_);
    const auto answer = client.Get(path, parameters, httplib::Headers{});
    if (!answer) return {};
    auto parsed = json::parse(answer->body, nullptr, false);
    return parsed.is_discarded() ? json() : parsed;
  }
  /// Series that the expression had at any moment since the start.
  [[nodiscard]] json range(const std::string& expression) const {
    return get("/api/v1/query_range", {{"query", expression},
                                       {"start", std::to_string(std::time(nullptr) - 600)},
                                       {"end", std::to_string(std::time(nullptr))},
                                       {"step", "1"}});
  }
  [[nodiscard]] bool has(const std::string& expression) const {
    const auto answer = get("/api/v1/query", {{"query", expression}});
    return answer.is_object() && answer.value("status", "") == "success" && !answer["data"]["result"].empty();
  }

 private:
  int port_ = 0;
  pid_t pid_ = -1;
};

struct Query {
  std::string where;
  std::string expression;
};

std::string with(std::string text, const std::string& from, const std::string& to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

/// Of all dashboards, with the variables as a user of this cluster has them.
std::vector<Query> dashboard_queries(const std::string& cluster_name) {
  std::vector<Query> out;
  for (const auto& file : std::filesystem::directory_iterator(kSource + "/manifests/monitoring/dashboards")) {
    std::ifstream in(file.path());
    const auto dashboard = json::parse(in);
    for (const auto& panel : dashboard.at("panels")) {
      for (const auto& target : panel.value("targets", json::array())) {
        auto expression = with(target.at("expr"), "$__rate_interval", "10s");
        expression = with(with(expression, "=~\"$namespace\"", "=~\".*\""), "=~\"$cluster\"", "=~\".*\"");
        expression = with(with(expression, "$namespace", "default"), "$cluster", cluster_name);
        out.push_back({file.path().filename().string() + ": " + panel.at("title").get<std::string>(), expression});
      }
    }
  }
  return out;
}

struct Answer {
  std::size_t series = 0;
  double highest = -std::numeric_limits<double>::infinity();  ///< Of all series.
};

/// nullopt: the query was not answered.
std::optional<Answer> read_answer(const json& answer) {
  if (!answer.is_object() || answer.value("status", "") != "success") return std::nullopt;
  Answer out;
  const auto& series = answer.at("data").at("result");
  out.series = series.size();
  for (const auto& one : series) {
    for (const auto& point : one.at("values")) {
      const double value = std::stod(point.at(1).get<std::string>());  // "NaN" is never the highest
      out.highest = std::max(out.highest, value);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("probe and check find an installation that works, and one that nobody answers for") {
  Scene scene("checked", with_hooks("disable-balancer"));
  const auto frontend = "--frontend-address=127.0.0.1:" + std::to_string(scene.frontends().frontend(0).port());
  const std::vector<std::string> probe{"probe",  "--webhook",    "--frontends", "--namespace=default",
                                       frontend, "--output=json"};
  const auto good = run_gate(scene, probe);
  INFO(good.out << good.err);
  CHECK(good.exit_code == 0);
  CHECK(result_of(good.out, "Verdict") == "ok");
  CHECK(result_of(good.out, "FE of StarRocksCluster default/checked") == "ok");
  CHECK(result_of(good.out, "Clock") == "ok");
  CHECK(scene.plane.kubectl({"get", "configmap", "upgrade-gate-probe"}).exit_code != 0);  // dry runs

  const std::vector<std::string> check{"check", "--gate-namespace=default", "--output=json",
                                       "--kubectl=" + scene.plane.kubernetes().kubectl_path().string()};
  const auto checked = run_gate(scene, check);
  INFO(checked.out << checked.err);
  CHECK(checked.exit_code == 1);  // there is no Deployment
  CHECK(result_of(checked.out, "CustomResourceDefinition upgradepreparations") == "ok");
  CHECK(result_of(checked.out, "CustomResourceDefinition starrocksclusters") == "ok");
  CHECK(result_of(checked.out, "ValidatingWebhookConfiguration") == "ok");
  CHECK(result_of(checked.out, "MutatingWebhookConfiguration") == "ok");
  CHECK(result_of(checked.out, "Deployment") == "FAILURE");
  CHECK(result_of(checked.out, "Verdict") == "ok");
  CHECK(result_of(checked.out, "Namespaces") == "ok");
  CHECK(result_of(checked.out, "RBAC") == "FAILURE");  // nor its account

  scene.frontends().stop(0);
  const auto silent = run_gate(scene, probe);
  CHECK(silent.exit_code == 1);
  CHECK(result_of(silent.out, "FE of StarRocksCluster default/checked") == "FAILURE");

  scene.gate().kill();
  const auto down = run_gate(scene, probe);
  INFO(down.out << down.err);
  CHECK(down.exit_code == 1);
  CHECK(result_of(down.out, "Verdict") == "FAILURE");
  CHECK(result_of(run_gate(scene, check).out, "Verdict") == "FAILURE");
}

TEST_CASE("every query of the dashboards has an answer in an upgrade, and no alert disturbs it") {
  std::string program;
  for (const char* path : {"/usr/bin/prometheus", "/usr/local/bin/prometheus"}) {
    if (std::filesystem::exists(path)) program = path;
  }
  if (program.empty()) {
    MESSAGE("skipped: no prometheus (make install-packages)");
    return;
  }
  Scene scene("seen", with_hooks("disable-tablet-clone,disable-balancer"), {}, {"--reassert-interval", "1s"});
  const Prometheus prometheus(scene.gate().ops_port(), program);
  REQUIRE(eventually(kPatience, [&] { return prometheus.has("upgrade_gate_ready == 1"); }));
  CHECK(eventually(kPatience, [&] {
    return prometheus.has(R"(upgrade_gate_installation_ok{part="record_crd"} == 1)") &&
           prometheus.has(R"(upgrade_gate_installation_ok{part="validating_webhooks"} == 1)");
  }));

  // An upgrade: admitted, and its pods begin to roll. What was set is seen to be held.
  CHECK(eventually(kPatience, [&] { return scene.to("3.3.1").exit_code == 0; }));
  CHECK(eventually(kPatience, [&] {
    return prometheus.has("upgrade_gate_preparation_settings_held_seconds") &&
           prometheus.has(R"(upgrade_gate_preparation_info{stage="RollingOut"})");
  }));
  // What somebody else sets meanwhile is set again.
  scene.frontends().frontend(0).set_config("disable_balance", "false");
  CHECK(eventually(kPatience, [&] { return prometheus.has("upgrade_gate_settings_reapplied_total >= 1"); }));
  const auto alerts_of = [&] {
    std::set<std::string> names;
    const auto answer = prometheus.get("/api/v1/alerts");
    for (const auto& alert : answer["data"]["alerts"]) names.insert(alert["labels"]["alertname"]);
    return names;
  };
  CHECK(alerts_of() == std::set<std::string>{});  // neither fires nor waits for its time
  // Its way back, while the FE is away: the restore is due and cannot be done.
  scene.frontends().stop(0);
  CHECK(eventually(kPatience, [&] { return scene.to("3.3.0").exit_code == 0; }));
  CHECK(eventually(kPatience, [&] { return prometheus.has("upgrade_gate_preparation_restore_overdue_seconds > 0"); }));
  CHECK(eventually(kPatience, [&] { return prometheus.has("upgrade_gate_frontend_connect_failures_total >= 1"); }));
  scene.frontends().start(0);
  CHECK(scene.record_becomes("stage", "Closed"));
  CHECK(eventually(
      kPatience, [&] { return prometheus.has(R"(upgrade_gate_preparations_closed_total{outcome="Reverted"} >= 1)"); }));
  CHECK(alerts_of() == std::set<std::string>{});

  std::size_t asked = 0;
  // docs/dashboards.md has it from here.
  std::ofstream answers(GATE_DASHBOARD_ANSWERS);
  for (const auto& query : dashboard_queries("seen")) {
    INFO(query.where << ": " << query.expression);
    // All that a panel shows happened in this story; one that stays at 0 asks for something else. A rate of what came
    // with the last scrape is seen at the next second.
    Answer answer;
    const bool moved = eventually(kPatience, [&] {
      const auto read = read_answer(prometheus.range(query.expression));
      answer = read.value_or(Answer{});
      return read && read->highest > 0;
    });
    INFO(answer.series << " series, up to " << answer.highest);
    CHECK(answer.series > 0);
    CHECK(moved);
    answers << query.where << " | " << answer.series << " series, up to " << answer.highest << "\n";
    ++asked;
  }
  CHECK(asked > 10);
  std::size_t rules = 0;
  const auto groups = prometheus.get("/api/v1/rules");
  for (const auto& group : groups["data"]["groups"]) {
    for (const auto& rule : group["rules"]) {
      INFO(rule.dump());
      CHECK(rule["health"] == "ok");
      ++rules;
    }
  }
  CHECK(rules > 5);
}
