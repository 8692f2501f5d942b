// The watch against a server that cuts, expires and forgets.

#include "server/kubernetes/client/resource_watch.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <new>

#include "test/fakes/quiet_log.hpp"
#include "test/server/kubernetes/fake_api_server.hpp"

namespace gate {

using nlohmann::json;
using std::chrono::milliseconds;
using test::answer_json;
using test::answer_status;
using test::FakeApiServer;

namespace {

json object(const std::string& name, const std::string& version, const std::string& uid = "u") {
  return {{"metadata", {{"namespace", "ns"}, {"name", name}, {"uid", uid + name}, {"resourceVersion", version}}}};
}

std::string event(const char* type, const json& about) { return json{{"type", type}, {"object", about}}.dump() + "\n"; }

/// What the observer was told, as "name@version" or "name gone".
class Log {
 public:
  ResourceWatch::Observer observer() {
    return [this](const json& about, bool removed) {
      const json& metadata = about.at("metadata");
      const std::string name = metadata.at("name").get<std::string>();
      {
        const std::scoped_lock lock(mutex_);
        lines_.push_back(removed ? name + " gone" : name + "@" + metadata.at("resourceVersion").get<std::string>());
      }
      changed_.notify_all();
    };
  }
  /// The lines once there are `count`, or what there is when that takes too long.
  std::vector<std::string> lines(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return lines_.size() >= count; });
    return lines_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

/// Lists and watches as scripted, one entry per call; after the last one a watch stays open and silent.
class ScriptedCollection {
 public:
  struct Watch {
    int status = 200;
    std::string body;  ///< Sent at once; then the watch ends.
    bool cut = false;  ///< It ends in the middle of the stream instead of in good order.
  };
  std::vector<json> lists;
  std::vector<Watch> watches;

  ~ScriptedCollection() { over_ = true; }

  FakeApiServer::Handler handler() {
    return [this](const httplib::Request& request, httplib::Response& response) {
      if (!request.has_param("watch")) {
        const std::size_t at = next_list_++;
        answer_json(response, lists.at(std::min(at, lists.size() - 1)));
        return;
      }
      const std::size_t at = next_watch_++;
      const Watch step = at < watches.size() ? watches[at] : Watch{};
      const bool last = at >= watches.size();
      if (step.status != 200) {
        answer_status(response, step.status, "Expired");
        return;
      }
      response.set_chunked_content_provider(
          "application/json", [this, step, last, sent = false](std::size_t, httplib::DataSink& sink) mutable {
            if (!sent && !step.body.empty() && !sink.write(step.body.data(), step.body.size())) return false;
            sent = true;
            if (last) {
              std::this_thread::sleep_for(milliseconds(5));  // sleeps: a stream that stays open until told
              return !over_.load() && sink.is_writable();
            }
            if (step.cut) return false;
            sink.done();
            return true;
          });
    };
  }
  void finish() { over_ = true; }

 private:
  std::atomic<std::size_t> next_list_{0};
  std::atomic<std::size_t> next_watch_{0};
  std::atomic<bool> over_{false};
};

json list_of(const std::string& version, std::vector<json> items) {
  return {{"metadata", {{"resourceVersion", version}}}, {"items", std::move(items)}};
}

const ResourceWatchOptions kQuick{.backoff_base = milliseconds(2), .backoff_max = milliseconds(10)};

std::vector<std::string> watched_versions(const FakeApiServer& server) {
  std::vector<std::string> out;
  for (const auto& request : server.requests()) {
    const auto at = request.find("&resourceVersion=");
    if (at == std::string::npos) continue;
    const auto from = at + std::string("&resourceVersion=").size();
    out.push_back(request.substr(from, request.find('&', from) - from));
  }
  return out;
}

}  // namespace

TEST_CASE("a watch that is cut is resumed where it was; bookmarks move that on") {
  ScriptedCollection collection;
  collection.lists = {list_of("10", {object("a", "5")})};
  collection.watches = {{200, event("MODIFIED", object("a", "11")) + event("BOOKMARK", object("", "15")), true},
                        {200, event("ADDED", object("b", "16")).substr(0, 20), true},
                        {200, event("ADDED", object("b", "16")) + event("DELETED", object("a", "17")), false}};
  const FakeApiServer server(collection.handler());
  const auto client = server.client();
  Log log;
  {
    ResourceWatch watch(*client, kube::kConfigMaps, kQuick, test::quiet_log(), log.observer());
    watch.start();
    CHECK(log.lines(4) == std::vector<std::string>{"a@5", "a@11", "b@16", "a gone"});
    while (watched_versions(server).size() < 4) std::this_thread::yield();
    collection.finish();
  }
  const auto versions = watched_versions(server);
  CHECK(std::vector<std::string>(versions.begin(), versions.begin() + 4) ==
        std::vector<std::string>{"10", "15", "15", "17"});
}

TEST_CASE("a version that is too old leads to a new list: what changed is told, what went is told, repeats are not") {
  struct Row {
    const char* name;
    ScriptedCollection::Watch expiry;
  };
  const Row rows[] = {
      {"as the answer", {410, "", false}},
      {"as an event", {200, event("ERROR", {{"kind", "Status"}, {"code", 410}, {"reason", "Expired"}}), false}},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    ScriptedCollection collection;
    collection.lists = {list_of("10", {object("a", "5"), object("b", "6"), object("c", "7")}),
                        list_of("20", {object("a", "5"), object("b", "18"), object("d", "19")})};
    collection.watches = {row.expiry};
    const FakeApiServer server(collection.handler());
    const auto client = server.client();
    Log log;
    {
      ResourceWatch watch(*client, kube::kConfigMaps, kQuick, test::quiet_log(), log.observer());
      watch.start();
      CHECK(log.lines(6) == std::vector<std::string>{"a@5", "b@6", "c@7", "b@18", "d@19", "c gone"});
      collection.finish();
    }
  }
}

TEST_CASE("an object that was deleted and made anew meanwhile is told as both") {
  ScriptedCollection collection;
  collection.lists = {list_of("10", {object("a", "5", "old")}), list_of("20", {object("a", "15", "new")})};
  collection.watches = {{410, "", false}};
  const FakeApiServer server(collection.handler());
  const auto client = server.client();
  Log log;
  ResourceWatch watch(*client, kube::kConfigMaps, kQuick, test::quiet_log(), log.observer());
  watch.start();
  CHECK(log.lines(3) == std::vector<std::string>{"a@5", "a gone", "a@15"});
  collection.finish();
}

TEST_CASE("synced tells whether the stream works") {
  std::atomic<bool> broken{true};
  ScriptedCollection collection;
  collection.lists = {list_of("10", {})};
  const auto scripted = collection.handler();
  const FakeApiServer server([&](const auto& request, auto& response) {
    if (broken) {
      answer_status(response, 500, "InternalError");
    } else {
      scripted(request, response);
    }
  });
  const auto client = server.client();
  Log log;
  ResourceWatch watch(*client, kube::kConfigMaps, kQuick, test::quiet_log(), log.observer());
  watch.start();
  while (server.requests().size() < 3) std::this_thread::yield();
  CHECK_FALSE(watch.synced());
  broken = false;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!watch.synced() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  CHECK(watch.synced());
  broken = true;
  collection.finish();  // ends the open watch
  while (watch.synced() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  CHECK_FALSE(watch.synced());
}

TEST_CASE("an observer that fails does not end the watch") {
  ScriptedCollection collection;
  collection.lists = {list_of("10", {object("a", "5"), object("b", "6")})};
  const FakeApiServer server(collection.handler());
  const auto client = server.client();
  Log log;
  auto tell = log.observer();
  ResourceWatch watch(*client, kube::kConfigMaps, kQuick, test::quiet_log(), [&](const json& about, bool removed) {
    tell(about, removed);
    throw std::runtime_error("observer");
  });
  watch.start();
  CHECK(log.lines(2) == std::vector<std::string>{"a@5", "b@6"});
  collection.finish();
}

TEST_CASE("what could not be told for want of memory is told later: an object that came, and one that went") {
  for (const bool goes : {false, true}) {
    INFO(goes);
    ScriptedCollection collection;
    const json both = list_of("10", {object("a", "5"), object("b", "6")});
    const json one = list_of("11", {object("a", "5")});
    collection.lists = goes ? std::vector<json>{both, one, one} : std::vector<json>{both, both};
    if (goes) collection.watches = {{410, "", false}};
    const FakeApiServer server(collection.handler());
    const auto client = server.client();
    Log log;
    auto tell = log.observer();
    std::atomic<bool> missing{true};
    ResourceWatch watch(*client, kube::kConfigMaps, kQuick, test::quiet_log(), [&](const json& about, bool removed) {
      if (removed == goes && missing.exchange(false)) throw std::bad_alloc();
      tell(about, removed);
    });
    watch.start();
    if (goes) {
      CHECK(log.lines(3) == std::vector<std::string>{"a@5", "b@6", "b gone"});
    } else {
      CHECK(log.lines(2) == std::vector<std::string>{"a@5", "b@6"});
    }
    collection.finish();
  }
}

TEST_CASE("an event that is larger than allowed breaks the watch, not the process") {
  ScriptedCollection collection;
  json large = object("big", "11");
  large["data"] = std::string(20000, 'x');
  collection.lists = {list_of("10", {}), list_of("12", {object("small", "12")})};
  collection.watches = {{200, event("ADDED", large), false}, {410, "", false}};
  const FakeApiServer server(collection.handler());
  const auto client = server.client({.response_bytes_max = 10000});
  Log log;
  ResourceWatch watch(*client, kube::kConfigMaps, kQuick, test::quiet_log(), log.observer());
  watch.start();
  CHECK(log.lines(1) == std::vector<std::string>{"small@12"});
  collection.finish();
}

}  // namespace gate
