#include "test/e2e/world.hpp"

#include <errno.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "server/httplib.hpp"

namespace gate::test {
namespace {

using std::chrono::seconds;

/// Enough of a timeline to see why a story went wrong.
constexpr std::size_t kTimelineShown = 60;
/// In the working directory, where programs may run at the same time: what to read when a case fails.
std::string log_file(const char* what) { return std::string(program_invocation_short_name) + "-" + what + ".log"; }
const std::string kWorldLog = log_file("world");
const std::string kOperatorLog = log_file("operator");

std::filesystem::path program(const char* name) { return std::filesystem::path(GATE_WORLD_PROGRAMS) / name; }

std::string read_text(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// "kind: X\n" of the text; empty without.
std::string after(const std::string& text, const std::string& label) {
  const auto at = text.find(label);
  if (at == std::string::npos) return {};
  const auto begin = at + label.size();
  return text.substr(begin, text.find_first_of("\n}", begin) - begin);
}

json image_patch(const Images& images) {
  static const std::map<std::string, std::string> fields{
      {"fe", "starRocksFeSpec"}, {"be", "starRocksBeSpec"}, {"cn", "starRocksCnSpec"}};
  json patch;
  for (const auto& [component, version] : images) {
    patch["spec"][fields.at(component)]["image"] = "starrocks/" + component + "-ubuntu:" + version;
  }
  return patch;
}

}  // namespace

World& World::get() {
  static World world;
  return world;
}

World::World() {
  if (!std::filesystem::exists(program("world"))) {
    skip_test("no program " + program("world").string() + ": build-support/build-world.sh could not build it with Go");
  }
  auto& kubernetes = plane.kubernetes();
  if (const auto started = kubernetes.start_controller_manager(); !started) {
    if (started.error().code == ErrorCode::NotFound) skip_test(started.error().message);
    FAIL(started.error().message);
  }
  token_ = after(read_text(kubernetes.kubeconfig()), "token: ");
  REQUIRE(!token_.empty());
  for (const auto& log : {kWorldLog, kOperatorLog}) std::ofstream(log, std::ios::trunc).close();
  world_ =
      start_process(program("world"),
                    {"--kubeconfig=" + kubernetes.kubeconfig().string(), "--simulator=" GATE_FE_SIMULATOR}, kWorldLog);
  REQUIRE(eventually(kPatience, [&] {
    const auto port = after(read_text(kWorldLog), "world 127.0.0.1:");
    if (port.empty()) return false;
    port_ = static_cast<std::uint16_t>(std::stoi(port));
    return true;
  }));
  restart_operator(kOperatorFlags);
  install_gate();
}

World::~World() {
  kill_and_reap(operator_);
  kill_and_reap(world_);
}

void World::stop_operator() { kill_and_reap(operator_); }

void World::restart_operator(const std::vector<std::string>& flags) {
  stop_operator();
  operator_flags_ = flags;
  std::vector<std::string> arguments{"--kubeconfig=" + plane.kubernetes().kubeconfig_of("operator").string()};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  operator_ = start_process(program("operator"), arguments, kOperatorLog);
  REQUIRE(operator_ > 0);
}

void World::install_gate() {
  for (const char* file : {"namespace", "rbac"}) {
    plane.must({"apply", "-f", kSource + "/manifests/base/" + file + ".yaml"});
  }
  plane.must({"apply", "-f", kSource + "/manifests/rollouts/rbac.yaml"});
  plane.kustomization = "test/e2e/rollouts";
  const auto made =
      plane.must({"create", "token", "upgrade-gate", "--namespace=starrocks-upgrade-gate", "--duration=24h"});
  const auto token = made.substr(0, made.find('\n'));
  const auto ca = plane.file("server.crt").string();
  std::ofstream(gate_kubeconfig())
      << json{{"apiVersion", "v1"},
              {"kind", "Config"},
              {"current-context", "gate"},
              {"clusters",
               {{{"name", "gate"},
                 {"cluster",
                  {{"server", "https://127.0.0.1:" + std::to_string(plane.kubernetes().port())},
                   {"certificate-authority", ca}}}}}},
              {"users", {{{"name", "gate"}, {"user", {{"token", token}}}}}},
              {"contexts", {{{"name", "gate"}, {"context", {{"cluster", "gate"}, {"user", "gate"}}}}}}}
             .dump();
}

json World::ask(const std::string& method, const std::string& path, const std::string& body) {
  httplib::Client client("127.0.0.1", port_);
  client.set_read_timeout(60);
  const auto answer = method == "POST"     ? client.Post(path.c_str(), body, "text/plain")
                      : method == "DELETE" ? client.Delete(path.c_str())
                                           : client.Get(path.c_str());
  INFO(method << " " << path << " " << body << ": " << (answer ? answer->body : "no answer from world; see its log"));
  REQUIRE((answer && answer->status == 200));
  return json::parse(answer->body);
}

std::optional<json> World::read(const std::string& path) {
  httplib::SSLClient client("127.0.0.1", plane.kubernetes().port());
  client.set_ca_cert_path(plane.file("server.crt").c_str());
  client.set_read_timeout(30);
  const auto answer = client.Get(path.c_str(), {{"Authorization", "Bearer " + token_}});
  INFO("GET " << path << ": " << (answer ? std::to_string(answer->status) + " " + answer->body : "no answer"));
  REQUIRE((answer && (answer->status == 200 || answer->status == 404)));
  if (answer->status == 404) return std::nullopt;
  return json::parse(answer->body);
}

void World::rule(const std::string& match, const std::string& query) {
  ask("POST", "/rules?match=" + match + "&" + query);
}

void World::clear_rules() { ask("DELETE", "/rules"); }

std::uint16_t World::send_calls_to(const std::vector<std::uint16_t>& gates) {
  std::string addresses;
  for (const auto port : gates) addresses += "127.0.0.1:" + std::to_string(port) + "\n";
  const std::string address = ask("POST", "/gates", addresses).at("address");
  return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

Story::Story(const std::string& name, StoryOptions options) : name_(name), options_(std::move(options)) {
  world.clear_rules();
  if (world.operator_flags() != kOperatorFlags) world.restart_operator(kOperatorFlags);
  world.plane.must({"create", "namespace", name_});
  if (options_.may_be_led) world.plane.must({"label", "namespace", name_, "gate.starrocks.com/rollouts=enabled"});
  frontend_address_ = world
                          .ask("POST", "/databases/" + name_ + "/sr?frontends=" + std::to_string(options_.frontends) +
                                           "&arg=--liveness-lag&arg=" + std::to_string(options_.liveness_lag.count()) +
                                           "&version=" + options_.version)
                          .at("address");
  gates_.resize(options_.gates);
  for (std::size_t i = 0; i < options_.gates; ++i) start_gate(i);
  until("the webhooks are in use", [&] {
    auto probe = first_cluster();
    probe["metadata"]["annotations"]["starrocks.com/upgrade-hooks"] = "no-such-hook";
    return kubectl({"create", "--dry-run=server", "-f", "-"}, {.input = probe.dump()}).exit_code != 0;
  });
  must({"create", "-f", "-"}, {.input = first_cluster().dump()});
  until("the cluster runs", [&] {
    return cluster()["status"].value("phase", "") == "running" && rolled("sr-fe", options_.version) &&
           (options_.backends == 0 || rolled("sr-be", options_.version)) &&
           (options_.compute_nodes == 0 || rolled("sr-cn", options_.version));
  });
}

Story::~Story() {
  // Not through the gate: whatever is still pending would be worked on by the next story's gates, on its database.
  gates_.clear();
  try {
    for (const auto& record : records()) {
      kubectl({"patch", "upgradepreparation", record["metadata"]["name"], "--type=merge", "-p",
               R"({"metadata":{"finalizers":null}})"});
    }
    kubectl({"delete", "starrocksclusters,starrockswarehouses,upgradepreparations", "--all", "--wait=false"});
    world.plane.kubectl({"delete", "namespace", name_, "--wait=false"});
    world.ask("DELETE", "/databases/" + name_ + "/sr");
  } catch (...) {  // An assertion that failed in here is noted by doctest before it is thrown.
  }
}

json Story::first_cluster() const {
  const auto part = [&](const std::string& kind, std::size_t replicas) {
    return json{{"image", "starrocks/" + kind + "-ubuntu:" + options_.version}, {"replicas", replicas}};
  };
  json made{{"apiVersion", "starrocks.com/v1"},
            {"kind", "StarRocksCluster"},
            {"metadata", {{"name", "sr"}, {"namespace", name_}, {"annotations", options_.annotations}}},
            {"spec", {{"starRocksFeSpec", part("fe", options_.frontends)}}}};
  if (options_.backends > 0) made["spec"]["starRocksBeSpec"] = part("be", options_.backends);
  if (options_.compute_nodes > 0) made["spec"]["starRocksCnSpec"] = part("cn", options_.compute_nodes);
  return made;
}

void Story::start_gate(std::size_t replica) {
  auto& plane = world.plane;
  const std::string identity = "gate-" + std::to_string(replica);
  std::vector<std::string> arguments{"--listen",
                                     "127.0.0.1:0",
                                     "--ops-listen",
                                     "127.0.0.1:0",
                                     "--tls-cert-file",
                                     plane.file("tls.crt"),
                                     "--tls-key-file",
                                     plane.file("tls.key"),
                                     "--kubeconfig",
                                     world.gate_kubeconfig(),
                                     "--frontend-address",
                                     frontend_address_,
                                     "--identity",
                                     identity,
                                     "--drain",
                                     "0s"};
  const auto unless_given = [&](const std::string& flag, const std::string& value) {
    const auto& given = options_.gate_flags;
    if (std::find(given.begin(), given.end(), flag) == given.end()) arguments.insert(arguments.end(), {flag, value});
  };
  unless_given("--failure-backoff", "1s");
  unless_given("--reassert-interval", "1s");
  unless_given("--claim-stale-after", "3s");
  arguments.insert(arguments.end(), options_.gate_flags.begin(), options_.gate_flags.end());
  gates_.at(replica) =
      std::make_unique<GateProcess>(arguments, "gate-" + name_ + "-" + std::to_string(replica) + ".log");
  pass_calls_on();
}

void Story::kill_gate(std::size_t replica) {
  gates_.at(replica).reset();
  pass_calls_on();
}

void Story::pass_calls_on() {
  std::vector<std::uint16_t> ports;
  for (const auto& gate : gates_) {
    if (gate) ports.push_back(gate->port());
  }
  world.plane.register_webhooks(world.send_calls_to(ports));
}

ProcessResult Story::kubectl(std::vector<std::string> arguments, const RunOptions& options) {
  arguments.push_back("--namespace=" + name_);
  return world.plane.kubectl(arguments, options);
}

std::string Story::must(std::vector<std::string> arguments, const RunOptions& options) {
  const auto done = kubectl(std::move(arguments), options);
  INFO(done.out << done.err);
  REQUIRE(done.exit_code == 0);
  return done.out;
}

ProcessResult Story::patch(const Images& images, const std::vector<std::string>& more) {
  std::vector<std::string> arguments{"patch", "starrockscluster",        "sr", "--type=merge",
                                     "-p",    image_patch(images).dump()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return kubectl(arguments);
}

void Story::patch_until_admitted(const Images& images) {
  ProcessResult last;
  const bool admitted = eventually(kPatience, [&] {
    last = patch(images);
    return last.exit_code == 0;
  });
  INFO(last.err << how_things_stand());
  REQUIRE(admitted);
}

std::string Story::path(const std::string& resource, const std::string& name) const {
  static const std::map<std::string, std::string> groups{{"starrocksclusters", "/apis/starrocks.com/v1"},
                                                         {"starrockswarehouses", "/apis/starrocks.com/v1"},
                                                         {"statefulsets", "/apis/apps/v1"},
                                                         {"upgradepreparations", "/apis/gate.starrocks.com/v1alpha1"},
                                                         {"pods", "/api/v1"},
                                                         {"services", "/api/v1"},
                                                         {"events", "/api/v1"}};
  return groups.at(resource) + "/namespaces/" + name_ + "/" + resource + (name.empty() ? "" : "/" + name);
}

std::optional<json> Story::object(const std::string& resource, const std::string& name) {
  return world.read(path(resource, name));
}

json Story::cluster() {
  auto found = object("starrocksclusters", "sr");
  REQUIRE(found.has_value());
  if (!found->contains("status")) (*found)["status"] = json::object();
  return *found;
}

std::vector<json> Story::records() {
  const auto listed = object("upgradepreparations", "");
  std::vector<json> all;
  if (!listed) return all;
  for (const auto& record : listed->at("items")) all.push_back(record);
  std::sort(all.begin(), all.end(), [](const json& a, const json& b) {
    return std::pair(a["metadata"]["creationTimestamp"], a["metadata"]["name"]) <
           std::pair(b["metadata"]["creationTimestamp"], b["metadata"]["name"]);
  });
  // Of one second, names tell nothing: whoever took another's place, or began on top of it, came later.
  for (std::size_t later = 1; later < all.size(); ++later) {
    const auto name = all[later]["metadata"]["name"].get<std::string>();
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      const auto& spec = all[earlier]["spec"];
      if (spec.value("supersedes", "") == name || spec.value("candidateOf", "") == name) {
        std::rotate(all.begin() + static_cast<std::ptrdiff_t>(earlier),
                    all.begin() + static_cast<std::ptrdiff_t>(later),
                    all.begin() + static_cast<std::ptrdiff_t>(later) + 1);
        break;
      }
    }
  }
  return all;
}

json Story::newest() {
  const auto all = records();
  return all.empty() ? json::object() : all.back().value("status", json::object());
}

std::map<std::string, std::string> Story::ready_pods(const std::string& component) {
  std::map<std::string, std::string> out;
  const auto listed = object("pods", "");
  for (const auto& pod : listed->at("items")) {
    if (pod["metadata"].value("labels", json::object()).value("app.kubernetes.io/component", "") != component) continue;
    const auto statuses = pod["status"].value("containerStatuses", json::array());
    if (statuses.empty() || !statuses[0]["ready"] || pod["metadata"].contains("deletionTimestamp")) continue;
    out[pod["metadata"]["name"]] = pod["spec"]["containers"][0]["image"];
  }
  return out;
}

bool Story::rolled(const std::string& stateful_set, const std::string& version) {
  const auto set = object("statefulsets", stateful_set);
  if (!set) return false;
  const std::string image = set->at("/spec/template/spec/containers/0/image"_json_pointer);
  const auto replicas = set->at("spec").value("replicas", 1);
  const auto status = set->value("status", json::object());
  return image.substr(image.rfind(':') + 1) == version &&
         status.value("observedGeneration", -1) == set->at("metadata").at("generation") &&
         status.value("updatedReplicas", 0) == replicas && status.value("readyReplicas", 0) == replicas &&
         status.value("replicas", 0) == replicas &&
         status.value("currentRevision", "") == status.value("updateRevision", "?");
}

std::vector<std::string> Story::config(const std::string& key) {
  const auto answer = world.ask("POST", "/databases/" + name_ + "/sr/command", "config " + key).at("answer");
  std::vector<std::string> values;
  for (const std::string line : answer) {
    if (line.rfind("config ", 0) == 0) values.push_back(line.substr(line.find('=') + 1));
  }
  REQUIRE(values.size() == options_.frontends);
  return values;
}

bool Story::everywhere(const std::string& key, const std::string& value) {
  const auto values = config(key);
  return std::all_of(values.begin(), values.end(), [&](const std::string& one) { return one == value; });
}

void Story::database(const std::string& command) {
  const auto answer = world.ask("POST", "/databases/" + name_ + "/sr/command", command).at("answer");
  INFO(command << ": " << answer.dump());
  REQUIRE(answer.back().get<std::string>().rfind("done", 0) == 0);
}

std::vector<Happening> Story::timeline() {
  std::vector<Happening> out;
  for (const auto& entry : world.ask("GET", "/databases/" + name_ + "/sr/timeline")) {
    out.push_back({entry["at"], entry["kind"], entry["what"]});
  }
  return out;
}

std::vector<std::string> Story::restarts(std::size_t from) {
  std::vector<std::string> out;
  const auto all = timeline();
  for (std::size_t i = from; i < all.size(); ++i) {
    const auto up = all[i].what.find(" up ");
    if (all[i].kind == "pod" && up != std::string::npos) out.push_back(all[i].what.substr(0, up));
  }
  return out;
}

std::map<std::string, std::string> Story::resource_versions() {
  std::map<std::string, std::string> out;
  for (const char* resource : {"starrocksclusters", "starrockswarehouses", "statefulsets", "upgradepreparations"}) {
    const auto listed = object(resource, "");
    for (const auto& item : listed->at("items")) {
      out[std::string(resource) + "/" + item["metadata"]["name"].get<std::string>()] =
          item["metadata"]["resourceVersion"];
    }
  }
  return out;
}

std::size_t Story::operator_passes() {
  const auto log = read_text(kOperatorLog);
  const std::string line = " pass starrocksclusters " + name_ + "/sr\n";
  std::size_t passes = 0;
  for (auto at = log.find(line); at != std::string::npos; at = log.find(line, at + 1)) ++passes;
  return passes;
}

std::string Story::how_things_stand() {
  std::ostringstream out;
  for (const auto& record : records()) {
    const auto status = record.value("status", json::object());
    out << "record " << record["metadata"]["name"] << " " << record["spec"].value("changes", json()).dump() << ": ";
    for (const char* field : {"phase", "stage", "outcome", "restoreOwed", "captured", "message"}) {
      if (status.contains(field)) out << field << "=" << status[field].dump() << " ";
    }
    out << "\n";
  }
  if (const auto found = object("starrocksclusters", "sr"))
    out << "cluster " << found->value("status", json()).dump() << "\n";
  if (const auto sets = object("statefulsets", "")) {
    for (const auto& set : sets->at("items")) {
      out << "StatefulSet " << set["metadata"]["name"] << " "
          << set.at("/spec/template/spec/containers/0/image"_json_pointer) << " " << set.value("status", json()).dump()
          << "\n";
    }
  }
  const auto all = timeline();
  for (std::size_t i = all.size() > kTimelineShown ? all.size() - kTimelineShown : 0; i < all.size(); ++i) {
    out << all[i].at << " " << all[i].kind << " " << all[i].what.substr(0, 200) << "\n";
  }
  return out.str();
}

void Story::until(const std::string& what, const std::function<bool()>& condition, seconds patience) {
  if (eventually(patience, condition)) return;
  FAIL("not within " << patience.count() << " s: " << what << "\n" << how_things_stand());
}

void Story::until_without(const std::string& what, const std::function<bool()>& condition, const std::string& harm,
                          const std::function<bool()>& never, seconds patience) {
  bool harmed = false;
  const bool came = eventually(patience, [&] {
    // In this order: harm that came before the end must not be missed.
    const bool done = condition();
    harmed = harmed || never();
    return harmed || done;
  });
  if (harmed) FAIL(harm << ", before " << what << "\n" << how_things_stand());
  if (!came) FAIL("not within " << patience.count() << " s: " << what << "\n" << how_things_stand());
}

}  // namespace gate::test
