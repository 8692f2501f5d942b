// The client against a server that misbehaves.

#include "server/kubernetes/client/kube_client.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <new>
#include <semaphore>
#include <set>
#include <thread>

#include "test/server/kubernetes/fake_api_server.hpp"

namespace gate {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using test::answer_json;
using test::answer_status;
using test::FakeApiServer;

namespace {

Deadline in(milliseconds time) { return steady_clock::now() + time; }
constexpr milliseconds kLong{20000};

Result<json> get_one(KubeClient& client, milliseconds time = kLong) {
  return client.get(kube::kConfigMaps, "default", "one", in(time));
}

}  // namespace

TEST_CASE("an answer says what the caller should do next") {
  struct Row {
    const char* name;
    int status;
    const char* reason;
    ErrorCode code;
  };
  const Row rows[] = {
      {"bad request", 400, "BadRequest", ErrorCode::Rejected},
      {"the token is not accepted", 401, "Unauthorized", ErrorCode::Unavailable},
      {"forbidden", 403, "Forbidden", ErrorCode::PermissionDenied},
      {"object not there", 404, "NotFound", ErrorCode::NotFound},
      {"kind not served", 404, "", ErrorCode::Unavailable},
      {"a proxy's timeout", 408, "", ErrorCode::Unavailable},
      {"expired", 410, "Expired", ErrorCode::Unavailable},
      {"larger than the API server takes", 413, "RequestEntityTooLarge", ErrorCode::Rejected},
      {"conflict", 409, "Conflict", ErrorCode::Conflict},
      {"name taken", 409, "AlreadyExists", ErrorCode::AlreadyExists},
      {"invalid", 422, "Invalid", ErrorCode::Rejected},
      {"too many requests", 429, "TooManyRequests", ErrorCode::Unavailable},
      {"server fault", 500, "InternalError", ErrorCode::Unavailable},
      {"unavailable", 503, "ServiceUnavailable", ErrorCode::Unavailable},
      {"redirect", 302, "", ErrorCode::Rejected},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const FakeApiServer server([&](const auto&, auto& response) {
      answer_status(response, row.status, row.reason, "line\nbreak \x01 because");
    });
    const auto answer = get_one(*server.client());
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().code == row.code);
    CHECK(answer.error().peer_code == row.status);
    CHECK(answer.error().message.find('\n') == std::string::npos);
    CHECK(answer.error().message.find("because") != std::string::npos);
    CHECK(server.requests().size() == 1);
  }
}

TEST_CASE("what would be refused again is no outage, whatever the code it comes with") {
  struct Row {
    const char* name;
    int status;
    const char* reason;
    const char* message;
    ErrorCode code;
  };
  const Row rows[] = {
      {"etcd's limit", 500, "InternalError", "etcdserver: request is too large", ErrorCode::Rejected},
      {"the limit of the way to etcd", 500, "InternalError",
       "rpc error: code = ResourceExhausted desc = trying to send message larger than max (3145999 vs. 2097152)",
       ErrorCode::Rejected},
      {"etcd without a leader", 500, "InternalError", "etcdserver: leader changed", ErrorCode::Unavailable},
      {"etcd without room", 500, "InternalError", "etcdserver: mvcc: database space exceeded", ErrorCode::Unavailable},
      {"etcd too slow", 500, "InternalError", "etcdserver: request timed out", ErrorCode::Unavailable},
      {"a webhook's verdict as a server fault", 500, "InternalError",
       "admission webhook \"policy.example.com\" denied the request: no records here", ErrorCode::Rejected},
      {"a webhook's verdict as a conflict", 409, "Conflict",
       "admission webhook \"policy.example.com\" denied the request: no records here", ErrorCode::Rejected},
      {"a webhook's verdict as a missing login", 401, "",
       "admission webhook \"policy.example.com\" denied the request without explanation", ErrorCode::Rejected},
      {"a webhook out of reach", 500, "InternalError",
       "Internal error occurred: failed calling webhook \"policy.example.com\": connection refused",
       ErrorCode::Unavailable},
      {"a quota that others just used", 409, "Conflict",
       "Operation cannot be fulfilled on resourcequotas \"q\": the object has been modified", ErrorCode::Conflict},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const FakeApiServer server(
        [&](const auto&, auto& response) { answer_status(response, row.status, row.reason, row.message); });
    const auto answer = server.client()->create_object(kube::kConfigMaps, "default", json::object(), in(kLong));
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().code == row.code);
    CHECK(answer.error().message.find(row.message) != std::string::npos);
  }
}

TEST_CASE("an overloaded server's Retry-After is honoured, for writes too") {
  std::atomic<int> calls{0};
  const FakeApiServer server([&](const auto&, auto& response) {
    if (++calls < 4) {
      answer_status(response, calls % 2 == 0 ? 503 : 429, "TooManyRequests");
      response.set_header("Retry-After", "0");
    } else {
      answer_json(response, {{"kind", "ConfigMap"}});
    }
  });
  const auto client = server.client();
  const auto created = client->create_object(kube::kConfigMaps, "default", json::object(), in(kLong));
  CHECK(created.ok());
  CHECK(calls == 4);
}

TEST_CASE("a wait beyond the deadline is not begun") {
  const FakeApiServer server([](const auto&, auto& response) {
    answer_status(response, 429, "TooManyRequests");
    response.set_header("Retry-After", "30");
  });
  const auto client = server.client();
  const auto before = steady_clock::now();
  const auto answer = get_one(*client, milliseconds(5000));
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::Unavailable);
  CHECK(steady_clock::now() - before < milliseconds(3000));
  CHECK(server.requests().size() == 1);
}

TEST_CASE("a server that is always overloaded is asked a bounded number of times") {
  const FakeApiServer server([](const auto&, auto& response) {
    answer_status(response, 429, "TooManyRequests");
    response.set_header("Retry-After", "0");
  });
  const auto answer = get_one(*server.client());
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::Unavailable);
  CHECK(server.requests().size() == 11);
}

TEST_CASE("a deadline holds whatever the server does") {
  std::atomic<bool> over{false};
  struct Row {
    const char* name;
    FakeApiServer::Handler handler;
  };
  const auto wait_until_over = [&] {
    while (!over) std::this_thread::sleep_for(milliseconds(5));  // sleeps: a server that hangs until told
  };
  const Row rows[] = {
      {"says nothing", [&](const auto&, auto&) { wait_until_over(); }},
      {"sends byte by byte",
       [&](const auto&, auto& response) {
         response.set_chunked_content_provider("application/json", [&](std::size_t, httplib::DataSink& sink) {
           std::this_thread::sleep_for(milliseconds(20));  // sleeps: a slow server is what is tested
           return !over && sink.write(" ", 1);
         });
       }},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    over = false;
    const FakeApiServer server(row.handler);
    const auto client = server.client();
    const auto before = steady_clock::now();
    const auto answer = get_one(*client, milliseconds(300));
    const auto took = steady_clock::now() - before;
    over = true;
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().code == ErrorCode::DeadlineExceeded);
    CHECK(took >= milliseconds(290));
    CHECK(took < milliseconds(1300));
  }
}

TEST_CASE("a request with an earlier deadline than the one under way is cut at its own") {
  std::atomic<bool> over{false};
  std::atomic<int> begun{0};
  const FakeApiServer server([&](const auto&, auto& response) {
    ++begun;
    response.set_chunked_content_provider("application/json", [&](std::size_t, httplib::DataSink& sink) {
      std::this_thread::sleep_for(milliseconds(20));  // sleeps: a slow server is what is tested
      return !over && sink.write(" ", 1);
    });
  });
  const auto client = server.client();
  {
    const std::jthread patient([&] { CHECK_FALSE(get_one(*client, milliseconds(30000)).ok()); });
    while (begun == 0) std::this_thread::sleep_for(milliseconds(1));  // sleeps: until the server has it
    const auto before = steady_clock::now();
    const auto answer = get_one(*client, milliseconds(300));
    const auto took = steady_clock::now() - before;
    over = true;
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().code == ErrorCode::DeadlineExceeded);
    CHECK(took < milliseconds(5000));
  }
}

TEST_CASE("nobody there is Unavailable") {
  int port = 0;
  {
    port = FakeApiServer([](const auto&, auto&) {}).port();
  }
  const auto client = KubeClient::create(test::plain_config(port));
  REQUIRE(client.ok());
  const auto answer = get_one(**client);
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::Unavailable);
}

TEST_CASE("an answer beyond the limit, or not JSON, is a fault of the server") {
  const FakeApiServer server([](const auto& request, auto& response) {
    if (request.path.ends_with("/one")) {
      response.set_content(json{{"data", std::string(5000, 'x')}}.dump(), "application/json");
    } else {
      response.set_content("<html>", "text/html");
    }
  });
  const auto client = server.client({.response_bytes_max = 1000});
  const auto large = get_one(*client);
  REQUIRE_FALSE(large.ok());
  CHECK(large.error().code == ErrorCode::Unavailable);
  CHECK(large.error().message.find("larger") != std::string::npos);
  const auto page = client->get(kube::kConfigMaps, "default", "page", in(kLong));
  REQUIRE_FALSE(page.ok());
  CHECK(page.error().code == ErrorCode::Unavailable);
}

TEST_CASE("one connection serves many requests, and a dead one is replaced unseen") {
  std::mutex mutex;
  std::set<int> peers;
  const auto handler = [&](const httplib::Request& request, httplib::Response& response) {
    const std::scoped_lock lock(mutex);
    peers.insert(request.remote_port);
    answer_json(response, {{"kind", "ConfigMap"}});
  };
  auto server = std::make_unique<FakeApiServer>(handler);
  const auto client = server->client();
  for (int i = 0; i < 4; ++i) REQUIRE(get_one(*client).ok());
  CHECK(peers.size() == 1);
  const int port = server->port();
  server.reset();  // closes the kept connection
  server = std::make_unique<FakeApiServer>(handler, port);
  REQUIRE(server->port() == port);
  // A write must not meet the dead connection either: it would not be repeated.
  const auto created = client->create_object(kube::kConfigMaps, "default", json::object(), in(kLong));
  CHECK_MESSAGE(created.ok(), (created.ok() ? "" : created.error().message));
}

TEST_CASE("no more requests are in flight than allowed") {
  std::atomic<int> now{0};
  std::atomic<int> most{0};
  const FakeApiServer server([&](const auto&, auto& response) {
    const int running = ++now;
    for (int seen = most; running > seen && !most.compare_exchange_weak(seen, running);) {
    }
    std::this_thread::sleep_for(milliseconds(2));  // sleeps: a request that takes a while, so that they overlap
    --now;
    answer_json(response, json::object());
  });
  const auto client = server.client({.connections_max = 3});
  std::atomic<int> good{0};
  {
    constexpr int kThreads = 12;
    std::vector<std::jthread> threads;
    threads.reserve(kThreads);
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 5; ++n) good += get_one(*client).ok();
      });
    }
  }
  CHECK(good == 60);
  CHECK(most <= 3);
}

TEST_CASE("of those who wait for a connection the one with the least time is next") {
  std::binary_semaphore answer_first{0};
  std::mutex order_lock;
  std::vector<std::string> order;
  const FakeApiServer server([&](const auto& request, auto& response) {
    const auto name = request.path.substr(request.path.rfind('/') + 1);
    if (name == "first") answer_first.acquire();
    {
      const std::scoped_lock lock(order_lock);
      order.push_back(name);
    }
    answer_json(response, json::object());
  });
  const auto client = server.client({.connections_max = 1});
  {
    std::vector<std::jthread> threads;
    const auto ask = [&](const char* name, milliseconds time, std::size_t waiting) {
      threads.emplace_back(
          [&client, name, end = in(time)] { CHECK(client->get(kube::kConfigMaps, "default", name, end).ok()); });
      while (client->waiting() != waiting || server.requests().empty()) std::this_thread::yield();
    };
    ask("first", 3 * kLong, 0);
    ask("preparation-1", 3 * kLong, 1);
    ask("review", kLong, 2);
    ask("preparation-2", 3 * kLong, 3);
    answer_first.release();
  }
  CHECK(order == std::vector<std::string>{"first", "review", "preparation-1", "preparation-2"});
  CHECK(client->waiting() == 0);
}

TEST_CASE("a list goes through its pages and starts over, once, when the snapshot is gone") {
  std::atomic<bool> expire{true};
  const FakeApiServer server([&](const auto& request, auto& response) {
    const std::string token = request.get_param_value("continue");
    if (token == "2 &=" && expire.exchange(false)) {
      answer_status(response, 410, "Expired");
    } else if (token.empty()) {
      answer_json(response, {{"metadata", {{"resourceVersion", "7"}, {"continue", "2 &="}}},
                             {"items", {{{"metadata", {{"name", "a"}}}}}}});
    } else {
      answer_json(response, {{"metadata", {{"resourceVersion", "7"}}}, {"items", {{{"metadata", {{"name", "b"}}}}}}});
    }
  });
  const auto list = server.client()->list(kube::kConfigMaps, "default", in(kLong));
  REQUIRE_MESSAGE(list.ok(), (list.ok() ? "" : list.error().message));
  CHECK(list->items.size() == 2);
  CHECK(list->resource_version == "7");
  CHECK(server.requests().size() == 4);
}

TEST_CASE("a name cannot lead to another path") {
  const FakeApiServer server([](const auto&, auto& response) { answer_json(response, json::object()); });
  const auto client = server.client();
  for (const char* name : {"", ".", "..", "../secrets/x", "a/b", "a%2fb"}) {
    INFO(name);
    const auto answer = client->get(kube::kSecrets, "default", name, in(kLong));
    REQUIRE_FALSE(answer.ok());
    CHECK(answer.error().code == ErrorCode::InvalidInput);
  }
  CHECK(server.requests().empty());
  CHECK(client->get(kube::kSecrets, "default", "a?b#c d", in(kLong)).ok());
  CHECK(server.requests().back() == "GET /api/v1/namespaces/default/secrets/a%3Fb%23c%20d");
}

TEST_CASE("requests carry who asks, and how") {
  httplib::Headers headers;
  const FakeApiServer server([&](const auto& request, auto& response) {
    headers = request.headers;
    answer_json(response, json::object());
  });
  REQUIRE(server.client({.version = "1.2.3"})
              ->merge_patch(kube::kClusters, "ns", "sr", "status", json::object(), in(kLong))
              .ok());
  CHECK(headers.find("User-Agent")->second == "upgrade-gate/1.2.3");
  CHECK(headers.find("Content-Type")->second == "application/merge-patch+json");
  CHECK(headers.find("Host")->second == "127.0.0.1:" + std::to_string(server.port()));
  CHECK(headers.find("Authorization") == headers.end());  // never in clear text
  CHECK(server.requests().back() == "PATCH /apis/starrocks.com/v1/namespaces/ns/starrocksclusters/sr/status");
}

TEST_CASE("certificates and keys that cannot be used are refused at once") {
  struct Row {
    const char* name;
    void (*change)(KubeConfig&);
  };
  const Row rows[] = {
      {"authority", [](KubeConfig& config) { config.ca_pem = "not PEM"; }},
      {"client certificate",
       [](KubeConfig& config) {
         config.client_certificate_pem = "not PEM";
         config.client_key_pem = "s3cr3t";
       }},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    KubeConfig config;
    config.host = "127.0.0.1";
    row.change(config);
    const auto client = KubeClient::create(config);
    REQUIRE_FALSE(client.ok());
    CHECK(client.error().code == ErrorCode::InvalidInput);
    CHECK(client.error().message.find("s3cr3t") == std::string::npos);
  }
}

TEST_CASE("a list is bounded by its items, not by its pages") {
  const auto item = [](const std::string& name, std::size_t bytes) {
    return json{{"metadata", {{"name", name}}}, {"data", std::string(bytes, 'x')}, {"more", R"(]}"items":[{\)"}};
  };
  struct Row {
    const char* name;
    std::function<json(const std::string& token)> page;
    const char* fault;
    std::size_t items;
  };
  const Row rows[] = {
      {"a page of many times the limit",
       [&](const std::string&) {
         json items = json::array();
         for (int i = 0; i < 50; ++i) items.push_back(item(std::to_string(i), 800));
         return json{{"metadata", {{"resourceVersion", "7"}}}, {"items", items}};
       },
       nullptr, 50},
      {"no items",
       [](const std::string&) {
         return json{{"metadata", {{"resourceVersion", "7"}}}, {"items", {}}};
       },
       nullptr, 0},
      {"items that are null",
       [](const std::string&) {
         return json{{"metadata", {{"resourceVersion", "7"}}}, {"items", nullptr}};
       },
       nullptr, 0},
      {"an item beyond the limit",
       [&](const std::string&) {
         return json{{"items", {item("a", 100), item("b", 2000)}}};
       },
       "larger than allowed", 1},
      {"pages without an end",
       [&](const std::string& token) {
         return json{{"metadata", {{"continue", token + "x"}}}, {"items", {item("a", 1), item("b", 1)}}};
       },
       "more than 60 objects", 60},
      {"empty pages without an end",
       [](const std::string& token) {
         return json{{"metadata", {{"continue", token + "x"}}}, {"items", json::array()}};
       },
       "no end", 0},
      {"the same page for ever",
       [&](const std::string&) {
         return json{{"metadata", {{"continue", "x"}}}, {"items", {item("a", 1)}}};
       },
       "no end", 2},
      {"no list at all", [](const std::string&) { return json("text"); }, "not a list", 0},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const FakeApiServer server([&](const auto& request, auto& response) {
      answer_json(response, row.page(request.get_param_value("continue")));
    });
    const auto client = server.client({.response_bytes_max = 1000, .list_items_max = 60});
    std::size_t items = 0;
    KubeClient::ListRequest request;
    request.resource = kube::kConfigMaps;
    request.keep = &only_identity();
    request.on_item = [&](const json& object) {
      ++items;
      CHECK(object.size() == 1);
    };
    const auto version = client->list_each(request, in(kLong));
    CHECK(items == row.items);
    CHECK(version.ok() == (row.fault == nullptr));
    if (version) CHECK(*version == "7");
    if (!version && row.fault != nullptr && version.error().message.find(row.fault) == std::string::npos) {
      FAIL_CHECK(version.error().message);
    }
  }
}

TEST_CASE("an object that has more than may be kept is passed over, and told; the others go on") {
  json many = json::array();
  for (int i = 0; i < 70'000; ++i) many.push_back(0);
  const FakeApiServer server([&](const auto&, auto& response) {
    answer_json(response,
                {{"metadata", {{"resourceVersion", "7"}}},
                 {"items", {{{"metadata", {{"name", "a"}}}, {"data", many}}, {{"metadata", {{"name", "b"}}}}}}});
  });
  std::vector<std::string> names;
  std::string told;
  KubeClient::ListRequest request;
  request.resource = kube::kConfigMaps;
  request.on_item = [&](const json& object) { names.push_back(object["metadata"]["name"]); };
  request.on_unreadable = [&](const std::string& why) { told = why; };
  CHECK(server.client()->list_each(request, in(kLong)).ok());
  CHECK(names == std::vector<std::string>{"b"});
  CHECK(told.find("more than 65536 values") != std::string::npos);
}

TEST_CASE("a connection is given back whatever its use throws") {
  const FakeApiServer server([](const auto&, auto& response) {
    answer_json(response, {{"metadata", {{"name", "n"}}}, {"items", {{{"metadata", {{"name", "a"}}}}}}});
  });
  const auto client = server.client();
  KubeClient::ListRequest request;
  request.resource = kube::kConfigMaps;
  request.on_item = [](const json&) { throw std::bad_alloc(); };
  for (std::size_t i = 0; i <= KubeClientOptions{}.connections_max; ++i) {
    CHECK_THROWS_AS((void)client->list_each(request, in(kLong)), std::bad_alloc);
  }
  CHECK(get_one(*client).ok());
}

TEST_CASE("of an answer only what is asked for is kept") {
  const FakeApiServer server([](const auto&, auto& response) {
    answer_json(response, {{"metadata", {{"name", "n"}, {"managedFields", {1}}, {"annotations", {{"a", "b"}}}}},
                           {"spec", {{"x", 1}, {"y", 2}}}});
  });
  const auto client = server.client();
  CHECK(*get_one(*client) ==
        json{{"metadata", {{"name", "n"}, {"annotations", {{"a", "b"}}}}}, {"spec", {{"x", 1}, {"y", 2}}}});
  const auto spec = keep_members("", {keep_members("spec", {keep_all("y")})});
  CHECK(*client->get(kube::kConfigMaps, "ns", "n", in(kLong), spec) == json{{"spec", {{"y", 2}}}});
  CHECK(*client->merge_patch(kube::kConfigMaps, "ns", "n", {}, json::object(), in(kLong)) ==
        json{{"metadata", {{"name", "n"}}}});
}

TEST_CASE("whatever a call waits for, it ends when the process is to stop") {
  std::atomic<bool> over{false};
  const auto silent = [&](const auto&, auto&) {
    while (!over) std::this_thread::sleep_for(milliseconds(5));  // sleeps: a server that hangs until told
  };
  const auto busy = [](const auto&, auto& response) {
    answer_status(response, 429, "TooManyRequests");
    response.set_header("Retry-After", "3600");
  };
  const auto endless = in(std::chrono::hours(2));
  struct Row {
    const char* name;
    FakeApiServer::Handler handler;
    std::function<bool(KubeClient&)> call;
  };
  const auto get = [&](KubeClient& client) { return get_one(client, std::chrono::hours(2)).ok(); };
  const Row rows[] = {
      {"an answer", silent, get},
      {"a list", silent, [&](KubeClient& client) { return client.list(kube::kConfigMaps, "ns", endless).ok(); }},
      {"Retry-After", busy, get},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    over = false;
    const FakeApiServer server(row.handler);
    const auto client = server.client({.connections_max = 2});
    {
      std::vector<std::jthread> threads;
      // The third waits for a connection, where the others keep theirs.
      for (int i = 0; i < 3; ++i) threads.emplace_back([&] { CHECK_FALSE(row.call(*client)); });
      while (server.requests().size() < 2) std::this_thread::yield();
      client->end_by(in(milliseconds(10)));
    }
    CHECK_FALSE(row.call(*client));  // nor does a later one wait
    over = true;
  }
}

TEST_CASE("a list ends with the thread that reads it") {
  std::atomic<bool> over{false};
  const FakeApiServer server([&](const auto&, auto&) {
    while (!over) std::this_thread::sleep_for(milliseconds(5));  // sleeps: a server that hangs until told
  });
  const auto client = server.client();
  {
    const std::jthread reader([&](const std::stop_token& stop) {
      KubeClient::ListRequest request;
      request.resource = kube::kConfigMaps;
      request.stop = stop;
      CHECK_FALSE(client->list_each(request, in(std::chrono::hours(2))).ok());
    });
    while (server.requests().empty()) std::this_thread::yield();
  }
  over = true;
}

}  // namespace gate
