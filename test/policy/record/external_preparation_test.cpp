// Goal: somebody else's Completed counts for exactly the target it names.

#include "policy/record/external_preparation.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace gate;
using nlohmann::json;
using State = ExternalPreparation::State;

namespace {

PreparationSpec target() {
  PreparationSpec spec;
  spec.object = {"StarRocksCluster", "sr", "uid-sr"};
  spec.changes = {{Component::Frontend, "fe:1", "fe:2"}, {Component::Backend, "be:1", "be:2"}};
  spec.mode = PreparationMode::Verify;
  return spec;
}

json cluster(const json& kept) { return {{"status", {{"phase", "running"}, {"upgradePreparationStatus", kept}}}}; }

}  // namespace

TEST_CASE("what somebody else says about a preparation counts for the target it names, and for no other") {
  const auto spec = target();
  const auto key = preparation_key(spec);
  const json both{{"fe", "fe:2"}, {"be", "be:2"}};
  const json more{{"fe", "fe:2"}, {"be", "be:2"}, {"cn", "cn:9"}};
  struct Row {
    const char* name;
    json cluster;
    State state;
    const char* detail;
  };
  for (const Row& row : {
           Row{"no object", nullptr, State::NotKept, ""},
           Row{"no status", json::object(), State::NotKept, ""},
           Row{"no field", json{{"status", {{"phase", "running"}}}}, State::NotKept, ""},
           Row{"an empty field", cluster(json::object()), State::NotKept, ""},
           Row{"written by a gate",
               cluster({{"phase", "Completed"}, {"preparation", "sr-1-1"}, {"targetImages", both}}), State::NotKept,
               ""},
           Row{"these images", cluster({{"phase", "Completed"}, {"targetImages", both}}), State::Completed, ""},
           Row{"these and others", cluster({{"phase", "Completed"}, {"targetImages", more}}), State::Completed, ""},
           Row{"this key", cluster({{"phase", "Completed"}, {"key", key}}), State::Completed, ""},
           Row{"another key", cluster({{"phase", "Completed"}, {"key", "0123456789"}}), State::Waiting,
               "another target"},
           Row{"this key, another image",
               cluster({{"phase", "Completed"}, {"key", key}, {"targetImages", {{"fe", "3"}}}}), State::Waiting,
               "another target"},
           Row{"one image of two", cluster({{"phase", "Completed"}, {"targetImages", {{"fe", "fe:2"}}}}),
               State::Waiting, "another target"},
           Row{"the last upgrade's",
               cluster({{"phase", "Completed"}, {"targetImages", {{"fe", "fe:1"}, {"be", "be:1"}}}}), State::Waiting,
               "another target"},
           Row{"no target", cluster({{"phase", "Completed"}}), State::Waiting, "no target"},
           Row{"still at it", cluster({{"phase", "Running"}, {"targetImages", both}, {"message", "2 of 3"}}),
               State::Waiting, "Running: 2 of 3"},
           Row{"an unknown phase", cluster({{"phase", "Done"}, {"targetImages", both}}), State::Waiting, "Done"},
           Row{"no phase", cluster({{"targetImages", both}}), State::Waiting, "no phase"},
           Row{"failed", cluster({{"phase", "Failed"}, {"targetImages", both}, {"message", "disk\nfull"}}),
               State::Failed, "disk full"},
           Row{"failed for another target", cluster({{"phase", "Failed"}, {"key", "0123456789"}}), State::Waiting, ""},
           Row{"a field of another shape", cluster("Completed"), State::NotKept, ""},
       }) {
    INFO(row.name);
    const auto found = external_preparation(row.cluster, spec);
    CHECK(found.state == row.state);
    INFO(found.detail);
    CHECK(found.detail.find(row.detail) != std::string::npos);
  }
}
