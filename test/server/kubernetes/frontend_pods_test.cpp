#include "server/kubernetes/frontend_pods.hpp"

#include <doctest/doctest.h>

#include "test/fakes/hand_clock.hpp"
#include "test/server/kubernetes/fake_api_server.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using nlohmann::json;
using test::FakeApiServer;

json slice_of(const json& addresses, bool ready = true) {
  json endpoints = json::array();
  for (const auto& address : addresses) {
    endpoints.push_back({{"addresses", json::array({address})}, {"conditions", {{"ready", ready}}}});
  }
  return {{"metadata", {{"name", "s"}}}, {"addressType", "IPv4"}, {"endpoints", endpoints}};
}

/// The slices of one cluster's FE Services, as they are now.
struct Slices {
  std::mutex mutex;
  json items = json::array();
  int status = 200;
  FakeApiServer server{[this](const httplib::Request& request, httplib::Response& response) {
    const std::scoped_lock lock(mutex);
    const bool wanted =
        request.path == "/apis/discovery.k8s.io/v1/namespaces/db/endpointslices" &&
        request.get_param_value("labelSelector") == "kubernetes.io/service-name in (sr-fe-service,sr-fe-search)";
    response.status = wanted ? status : 404;
    response.set_content(json{{"kind", "EndpointSliceList"}, {"metadata", json::object()}, {"items", items}}.dump(),
                         "application/json");
  }};
  std::unique_ptr<KubeClient> client = server.client();
  test::HandClock clock{std::chrono::steady_clock::now()};
  FrontendPods pods{*client, clock};

  void become(json all, int code = 200) {
    const std::scoped_lock lock(mutex);
    items = std::move(all);
    status = code;
  }
  Status judge(const std::vector<std::string>& addresses) {
    return pods.judge("db", "sr", addresses, std::chrono::steady_clock::now() + 60s);
  }
  std::size_t asked() { return server.requests().size(); }
};

TEST_CASE("only what is an address of the FE's own pods is one, whether they are ready or not") {
  Slices slices;
  slices.become({slice_of({"10.1.0.1", "10.1.0.2"}), slice_of({"10.1.0.3"}, false), slice_of({"fd00::1"}),
                 json{{"metadata", {{"name", "empty"}}}, {"endpoints", nullptr}},
                 json{{"metadata", {{"name", "strange"}}}, {"endpoints", json::array({1, json::object()})}}});
  struct Row {
    const char* name;
    std::vector<std::string> addresses;
    bool own;
  };
  for (const Row& row :
       {Row{"a pod", {"10.1.0.1"}, true}, Row{"one that is not ready", {"10.1.0.3"}, true},
        Row{"IPv6", {"fd00::1"}, true}, Row{"all of several", {"10.1.0.1", "10.1.0.2"}, true},
        Row{"another pod of the network", {"10.1.0.9"}, false}, Row{"one of several", {"10.1.0.1", "10.1.0.9"}, false},
        Row{"a longer one", {"10.1.0.11"}, false}, Row{"mapped", {"::ffff:10.1.0.1"}, false}}) {
    INFO(row.name);
    const auto judged = slices.judge(row.addresses);
    CHECK(judged.ok() == row.own);
    if (judged) continue;
    CHECK(judged.error().code == ErrorCode::Unavailable);
    CHECK_MESSAGE(judged.error().message.find("is not the address of a pod behind") != std::string::npos,
                  judged.error().message);
  }
  CHECK(slices.asked() == 1);
}

TEST_CASE("what was seen is known for a while; what is missing is asked for again, and not at each look") {
  Slices slices;
  slices.become({slice_of({"10.1.0.1"})});
  CHECK(slices.judge({"10.1.0.1"}).ok());
  slices.become({slice_of({"10.1.0.2"})});
  CHECK_FALSE(slices.judge({"10.1.0.2"}).ok());  // restarted a moment ago
  CHECK(slices.asked() == 1);
  slices.clock.advance(FrontendPods::kAskAgainAfter);
  CHECK(slices.judge({"10.1.0.1"}).ok());
  CHECK(slices.asked() == 1);
  CHECK(slices.judge({"10.1.0.2"}).ok());
  CHECK(slices.asked() == 2);
  slices.clock.advance(FrontendPods::kKnownFor);
  slices.become({slice_of({"10.1.0.3"})});
  CHECK_FALSE(slices.judge({"10.1.0.2"}).ok());
  CHECK(slices.asked() == 3);
}

TEST_CASE("where it cannot be asked nothing is taken for a pod's, and the reason is told") {
  Slices slices;
  slices.become(json::array(), 403);
  const auto judged = slices.judge({"10.1.0.1"});
  REQUIRE_FALSE(judged.ok());
  CHECK(judged.error().code == ErrorCode::Unavailable);
  CHECK_MESSAGE(judged.error().message.find("endpointslices: 403") != std::string::npos, judged.error().message);
}

}  // namespace
}  // namespace gate
