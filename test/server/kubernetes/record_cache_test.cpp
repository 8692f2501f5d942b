// What the store on the API server keeps, asks for and passes over, against a server of the test's own.

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <map>

#include "policy/record/preparation_codec.hpp"
#include "server/base/log.hpp"
#include "server/kubernetes/kube_preparation_store.hpp"
#include "test/fakes/quiet_log.hpp"
#include "test/server/kubernetes/fake_api_server.hpp"

namespace gate {

using nlohmann::json;
using std::chrono::milliseconds;
using test::answer_json;
using test::FakeApiServer;

namespace {

Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(20); }

template <class Condition>
bool eventually(Condition holds) {
  const auto end = soon();
  while (!holds() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  return holds();
}

Preparation record(const std::string& name, const std::string& cluster) {
  Preparation out;
  out.name = name;
  out.name_space = "ns";
  out.spec.object = {std::string(kClusterKind), cluster, "uid-of-" + cluster};
  out.spec.cluster = cluster;
  out.spec.changes = {{Component::Frontend, "fe:1", "fe:2"}};
  Hook hook;
  hook.name = "set";
  hook.action = SqlAction{"SHOW FRONTENDS", std::nullopt};
  out.spec.hooks = {hook};
  return out;
}

/// A collection with labels, names and versions; its watches stay open and tell nothing until they are told to.
class Records {
 public:
  explicit Records(bool can_list_all = true) : can_list_all_(can_list_all) {}
  ~Records() { over_ = true; }

  void put(json object) {
    const std::scoped_lock lock(mutex_);
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    object["metadata"]["uid"] = "uid-" + object["metadata"]["name"].get<std::string>();
    const std::string name = object["metadata"]["name"];
    objects_[name] = std::move(object);
  }
  void tell(const char* type, const json& object) {
    const std::scoped_lock lock(mutex_);
    events_ += json{{"type", type}, {"object", object}}.dump() + "\n";
  }
  json stored(const std::string& name) {
    const std::scoped_lock lock(mutex_);
    return objects_.at(name);
  }

  FakeApiServer::Handler handler() {
    return [this](const httplib::Request& request, httplib::Response& response) { answer(request, response); };
  }
  void finish() { over_ = true; }

 private:
  void answer(const httplib::Request& request, httplib::Response& response) {
    if (request.has_param("watch")) return watch(response);
    const std::string name = request.path.substr(request.path.rfind('/') + 1);
    if (request.method == "POST") {
      put(json::parse(request.body));
      return answer_json(response, stored(json::parse(request.body)["metadata"]["name"]), 201);
    }
    if (request.method == "PUT") {
      put(json::parse(request.body));
      return answer_json(response, stored(json::parse(request.body)["metadata"]["name"]));
    }
    if (name != "upgradepreparations") return answer_json(response, stored(name));
    const auto selector = request.get_param_value("labelSelector");
    if (selector.empty() && !can_list_all_) return test::answer_status(response, 500, "InternalError");
    json items = json::array();
    const std::scoped_lock lock(mutex_);
    for (const auto& [key, object] : objects_) {
      const auto labels = object["metadata"].value("labels", json::object());
      const auto label = std::string(kClusterLabel) + "=" + labels.value(std::string(kClusterLabel), "");
      if (selector.empty() || selector == label) items.push_back(object);
    }
    answer_json(response, {{"metadata", {{"resourceVersion", std::to_string(version_)}}}, {"items", items}});
  }

  void watch(httplib::Response& response) {
    response.set_chunked_content_provider("application/json", [this](std::size_t, httplib::DataSink& sink) {
      std::string events;
      {
        const std::scoped_lock lock(mutex_);
        events = std::exchange(events_, {});
      }
      if (!events.empty() && !sink.write(events.data(), events.size())) return false;
      std::this_thread::sleep_for(milliseconds(2));  // sleeps: a stream that stays open until told
      return !over_.load() && sink.is_writable();
    });
  }

  const bool can_list_all_;
  std::mutex mutex_;
  std::map<std::string, json> objects_;  // guarded by mutex_
  int version_ = 10;                     // guarded by mutex_
  std::string events_;                   // guarded by mutex_
  std::atomic<bool> over_{false};
};

std::vector<std::string> names(const Result<std::vector<Preparation>>& records) {
  std::vector<std::string> out;
  for (const auto& record : records.value()) out.push_back(record.name);
  std::sort(out.begin(), out.end());
  return out;
}

json without_label(json object) {
  object["metadata"].erase("labels");
  return object;
}

}  // namespace

TEST_CASE("a list since an own write asks for no more than that version, and anew where the server lags behind") {
  Records records;
  records.put(to_json(record("a-1", "a")));
  std::atomic<bool> lags{false};
  const FakeApiServer server(
      [&, all = records.handler()](const httplib::Request& request, httplib::Response& response) {
        if (lags && request.has_param("resourceVersionMatch")) {
          return answer_json(response, json{{"kind", "Status"}, {"message", "Too large resource version"}}, 504);
        }
        all(request, response);
      });
  const auto client = server.client();
  KubePreparationStore store(*client, test::quiet_log());
  store.start();
  REQUIRE(eventually([&] { return store.synced(); }));
  // The watch asks beside it.
  const auto last_list = [&] {
    const auto all = server.requests();
    const auto found = std::find_if(all.rbegin(), all.rend(),
                                    [](const std::string& one) { return one.find("watch=") == std::string::npos; });
    return found == all.rend() ? std::string() : *found;
  };
  const auto asked = [&](const char* version) {
    const auto found = store.list_of_cluster_since("ns", "a", version, soon());
    CHECK(names(found) == std::vector<std::string>{"a-1"});
    return last_list();
  };
  const auto since = asked("7");
  CHECK(since.find("resourceVersion=7&resourceVersionMatch=NotOlderThan") != std::string::npos);
  CHECK(since.find("labelSelector=gate.starrocks.com%2Fcluster%3Da") != std::string::npos);
  // Older API servers ask etcd where there is a limit.
  CHECK(since.find("limit=") == std::string::npos);
  SUBCASE("without a version") { CHECK(asked("").find("limit=") != std::string::npos); }
  SUBCASE("the server lags behind") {
    lags = true;
    CHECK(asked("8").find("limit=") != std::string::npos);
  }
  SUBCASE("more records than one answer should hold") {
    for (int i = 2; i <= 60; ++i) REQUIRE(store.create(record("a-" + std::to_string(i), "a"), soon()).ok());
    CHECK(store.list_of_cluster_since("ns", "a", "9", soon())->size() == 60);
    CHECK(last_list().find("limit=") != std::string::npos);
  }
}

TEST_CASE("records are found by their cluster, old ones without a label too, and the unreadable passed over") {
  Records records;
  records.put(to_json(record("a-1", "a")));
  records.put(without_label(to_json(record("a-old", "a"))));
  records.put(to_json(record("b-1", "b")));
  json broken = to_json(record("a-broken", "a"));
  broken["status"]["phase"] = "OfTheNextVersion";
  records.put(broken);
  const FakeApiServer server(records.handler());
  const auto client = server.client();
  KubePreparationStore store(*client, test::quiet_log());
  const std::vector<std::string> wanted{"a-1", "a-old"};
  // Nothing was seen yet: the namespace is looked through.
  CHECK(names(store.list_of_cluster("ns", "a", soon())) == wanted);
  CHECK(names(store.known_of_cluster("ns", "a", soon())) == wanted);
  CHECK(server.requests().back().find("labelSelector") == std::string::npos);
  store.start();
  REQUIRE(eventually([&] { return store.synced(); }));
  CHECK(names(store.list_of_cluster("ns", "a", soon())) == wanted);
  const auto requests = server.requests();
  CHECK(std::any_of(requests.begin(), requests.end(), [](const std::string& request) {
    return request.find("labelSelector=gate.starrocks.com%2Fcluster%3Da") != std::string::npos;
  }));
  // What is known costs no request.
  const auto before = server.requests().size();
  CHECK(names(store.known_of_cluster("ns", "a", soon())) == wanted);
  CHECK(names(store.known_of_cluster("ns", "b", soon())) == std::vector<std::string>{"b-1"});
  CHECK(names(store.known_of_cluster("ns", "c", soon())).empty());
  CHECK(server.requests().size() == before);
  records.finish();
}

TEST_CASE("records that cannot be read are counted while they are there, and keep nobody from hearing of the others") {
  Records records;
  const auto broken = [](const std::string& name, const char* part, const json& value) {
    json object = to_json(record(name, "a"));
    object[part] = value;
    return object;
  };
  // In the order of their names: the good ones come between the others.
  records.put(broken("a-1", "status", {{"phase", "OfTheNextVersion"}}));
  records.put(to_json(record("a-2", "a")));
  records.put(broken("a-3", "spec", json::array()));
  records.put(broken("a-4", "spec", nullptr));
  records.put(to_json(record("a-5", "a")));
  const FakeApiServer server(records.handler());
  const auto client = server.client();
  std::mutex mutex;
  std::vector<std::string> lines;
  const auto log = make_json_logger("info", [&](const std::string& line) {
    const std::scoped_lock lock(mutex);
    lines.push_back(line);
  });
  KubePreparationStore store(*client, *log);
  std::vector<std::string> heard;
  store.observe([&](const Preparation& one, bool removed) {
    const std::scoped_lock lock(mutex);
    heard.push_back((removed ? "-" : "+") + one.name);
  });
  const auto has_heard = [&](const std::vector<std::string>& wanted) {
    return eventually([&] {
      const std::scoped_lock lock(mutex);
      return heard == wanted;
    });
  };
  store.start();
  CHECK(has_heard({"+a-2", "+a-5"}));
  CHECK(store.unreadable_records() == 3);
  {
    const std::scoped_lock lock(mutex);
    CHECK(std::any_of(lines.begin(), lines.end(), [](const std::string& line) {
      return line.find("record cannot be read") != std::string::npos && line.find("ns/a-1") != std::string::npos;
    }));
  }
  // One is deleted, one is corrected, and a good one breaks; then the stream goes on.
  records.tell("DELETED", records.stored("a-3"));
  CHECK(eventually([&] { return store.unreadable_records() == 2; }));
  records.put(to_json(record("a-4", "a")));
  records.tell("MODIFIED", records.stored("a-4"));
  CHECK(has_heard({"+a-2", "+a-5", "+a-4"}));
  CHECK(store.unreadable_records() == 1);
  records.put(broken("a-5", "status", {{"phase", "OfTheNextVersion"}}));
  records.tell("MODIFIED", records.stored("a-5"));
  CHECK(eventually([&] { return store.unreadable_records() == 2; }));
  records.put(to_json(record("a-6", "a")));
  records.tell("ADDED", records.stored("a-6"));
  CHECK(has_heard({"+a-2", "+a-5", "+a-4", "+a-6"}));
  CHECK(store.synced());
  records.finish();
}

TEST_CASE("a cut label finds its own cluster's records only") {
  const std::string stem(80, 'x');
  CHECK(cluster_label(stem + "1").size() <= 63);
  CHECK(cluster_label(stem + "1") != cluster_label(stem + "2"));
  CHECK(cluster_label("sr") == "sr");
  Records records;
  records.put(to_json(record("one", stem + "1")));
  json same = to_json(record("two", stem + "2"));
  same["metadata"]["labels"] = to_json(record("one", stem + "1"))["metadata"]["labels"];  // as if the hashes met
  records.put(same);
  const FakeApiServer server(records.handler());
  const auto client = server.client();
  KubePreparationStore store(*client, test::quiet_log());
  store.start();
  REQUIRE(eventually([&] { return store.synced(); }));
  CHECK(names(store.list_of_cluster("ns", stem + "1", soon())) == std::vector<std::string>{"one"});
  records.finish();
}

TEST_CASE("own writes are known at once, and no older word of the watch undoes them") {
  Records records;
  const FakeApiServer server(records.handler());
  const auto client = server.client();
  KubePreparationStore store(*client, test::quiet_log());
  store.start();
  REQUIRE(eventually([&] { return store.synced(); }));
  auto created = store.create(record("a-1", "a"), soon());
  REQUIRE(created.ok());
  CHECK(names(store.known_of_cluster("ns", "a", soon())) == std::vector<std::string>{"a-1"});
  const json first = records.stored("a-1");
  created->status.phase = Phase::Completed;
  REQUIRE(store.update_status(*created, soon()).ok());
  CHECK(store.known_of_cluster("ns", "a", soon())->at(0).status.phase == Phase::Completed);
  records.tell("ADDED", first);
  records.put(to_json(record("a-2", "a")));
  records.tell("ADDED", records.stored("a-2"));
  REQUIRE(eventually([&] { return store.known_of_cluster("ns", "a", soon())->size() == 2; }));
  const auto both = store.known_of_cluster("ns", "a", soon());
  for (const auto& known : *both) {
    if (known.name == "a-1") CHECK(known.status.phase == Phase::Completed);
  }
  // A newer word counts.
  json later = records.stored("a-1");
  later["metadata"]["resourceVersion"] = "1000";
  later["status"]["phase"] = "Failed";
  records.tell("MODIFIED", later);
  CHECK(eventually([&] {
    const auto known = store.known_of_cluster("ns", "a", soon());
    return std::any_of(known->begin(), known->end(), [](const auto& one) { return one.status.phase == Phase::Failed; });
  }));
  records.tell("DELETED", later);
  CHECK(
      eventually([&] { return names(store.known_of_cluster("ns", "a", soon())) == std::vector<std::string>{"a-2"}; }));
  records.finish();
}

TEST_CASE("observers are told that a record went that this gate removed itself") {
  Records records;
  records.put(to_json(record("a-1", "a")));
  const FakeApiServer server(records.handler());
  const auto client = server.client();
  KubePreparationStore store(*client, test::quiet_log());
  std::atomic<bool> told{false};
  store.observe([&](const Preparation& changed, bool removed) { told = told || (removed && changed.name == "a-1"); });
  store.start();
  REQUIRE(eventually([&] { return store.synced() && store.known_of_cluster("ns", "a", soon())->size() == 1; }));
  REQUIRE(store.remove("ns", "a-1", soon()).ok());
  records.tell("DELETED", records.stored("a-1"));
  CHECK(eventually([&] { return told.load(); }));
  CHECK(store.known_of_cluster("ns", "a", soon())->empty());
  records.finish();
}

TEST_CASE("what is kept of a record is never written back") {
  const FakeApiServer server([](const auto&, auto& response) { answer_json(response, json::object()); });
  const auto client = server.client();
  KubePreparationStore store(*client, test::quiet_log());
  auto kept = without_bodies(record("a-1", "a"));
  kept.resource_version = "7";
  const auto written = store.update_status(kept, soon());
  REQUIRE_FALSE(written.ok());
  CHECK(written.error().code == ErrorCode::InvalidInput);
  CHECK(server.requests().empty());
}

TEST_CASE("what is kept of a record is small, and tells its key") {
  Preparation large = record("a-1", "a");
  ScriptAction script;
  script.script = std::string(300'000, 'x');
  large.spec.hooks.front().action = script;
  large.status.hooks.resize(1);
  large.status.hooks.front().phase = HookPhase::Running;
  large.status.captured = {{"k", "v", "w"}};
  const auto key = preparation_key(large.spec);
  const auto small = without_bodies(large);
  CHECK(preparation_key(small) == key);
  CHECK(is_open(small) == is_open(large));
  CHECK(small.spec.hooks.size() == 1);
  CHECK(to_json(small).dump().size() < 4'000);
  large.status.stage = Stage::Closed;
  large.status.hooks.front().phase = HookPhase::Failed;
  const auto closed = without_bodies(large);
  CHECK_FALSE(is_open(closed));
  CHECK(closed.spec.hooks.empty());
  CHECK(preparation_key(closed) == key);
}

}  // namespace gate
