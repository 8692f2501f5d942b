#pragma once
// What the StarRocks operator does to one StatefulSet, and an API server that asks the gate: enough of both to show in
// a test without a control plane what a sequence of writes leads to.

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "policy/rollout/stateful_set.hpp"

namespace gate::test {

using nlohmann::json;

inline constexpr const char* kHash = "app.starrocks.components/hash";
inline constexpr const char* kLastApplied = "starrocks.kubernetes.operator/last-applied-configuration";

/// What the custom resource asks for, as far as a StatefulSet is made from it.
struct Wanted {
  std::string image = "be:1";
  std::vector<std::pair<std::string, std::string>> env{{"A", "1"}};
  int replicas = 3;
  std::optional<int> partition = 0;  ///< nullopt: an updateStrategy of the user's that names none.
  std::string component = "be";      ///< As its label and its container are called.
};

inline json expected_object(const Wanted& wanted) {
  json env = json::array();
  for (const auto& [key, value] : wanted.env) env.push_back({{"name", key}, {"value", value}});
  const std::string name = "sr-" + wanted.component;
  json object{
      {"metadata",
       {{"name", name},
        {"labels", {{"app.kubernetes.io/component", wanted.component}, {"app.starrocks.ownerreference/name", name}}},
        {"annotations", json::object()},
        {"ownerReferences",
         {{{"apiVersion", "starrocks.com/v1"},
           {"kind", "StarRocksCluster"},
           {"name", "sr"},
           {"uid", "uid-1"},
           {"controller", true}}}}}},
      {"spec",
       {{"replicas", wanted.replicas},
        {"updateStrategy", {{"type", "RollingUpdate"}}},
        {"template",
         {{"metadata", {{"labels", {{"app", wanted.component}}}}},
          {"spec", {{"containers", {{{"name", wanted.component}, {"image", wanted.image}, {"env", env}}}}}}}}}}};
  if (wanted.partition) object["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = *wanted.partition;
  object["metadata"]["annotations"][kHash] = std::to_string(std::hash<std::string>{}(object["spec"].dump()));
  return object;
}

/// A three-way strategic merge, lists of named elements by their names.
inline json three_way(const json& applied, const json& wanted, json live) {
  if (wanted.is_object() && live.is_object()) {
    for (const auto& [key, value] : wanted.items()) {
      const json before = applied.is_object() && applied.contains(key) ? applied[key] : json();
      live[key] = live.contains(key) ? three_way(before, value, live[key]) : value;
    }
    if (applied.is_object()) {
      for (const auto& [key, value] : applied.items()) {
        if (!wanted.contains(key)) live.erase(key);
      }
    }
    return live;
  }
  const auto named = [](const json& list) {
    return list.is_array() && !list.empty() && list.front().is_object() && list.front().contains("name");
  };
  if (!named(wanted) && !(wanted.is_array() && named(live))) return wanted;
  if (!live.is_array()) return wanted;
  const auto find = [](const json& list, const json& name) -> const json* {
    for (const auto& element : list) {
      if (element.at("name") == name) return &element;
    }
    return nullptr;
  };
  json merged = json::array();
  for (const auto& element : wanted) {
    const auto* old = find(live, element.at("name"));
    const auto* before = applied.is_array() ? find(applied, element.at("name")) : nullptr;
    merged.push_back(old == nullptr ? element : three_way(before == nullptr ? json() : *before, element, *old));
  }
  for (const auto& element : live) {
    const bool was_applied = applied.is_array() && find(applied, element.at("name")) != nullptr;
    if (find(wanted, element.at("name")) == nullptr && !was_applied) merged.push_back(element);
  }
  return merged;
}

/// Keeps one StatefulSet. Whoever writes goes through the gate where the shipped matchConditions say so.
class StatefulSetServer {
 public:
  explicit StatefulSetServer(json object) : live_(std::move(object)) { default_fields(live_); }

  SetOrder order;  ///< The gate's present answer, where nobody else is asked:
  /// The webhook; what is to be stored, or nothing where it refuses. May be empty.
  std::function<std::optional<json>(const json& old_object, const json& object)> webhook;

  [[nodiscard]] const json& live() const { return live_; }
  [[nodiscard]] int version() const { return version_; }
  [[nodiscard]] int calls() const { return calls_; }

  /// False: refused.
  bool write(json object) {
    default_fields(object);
    const auto judged = stateful_set_write(live_, object);
    REQUIRE(judged);
    if (judged->old_image != judged->new_image || judged->marked) {
      ++calls_;
      auto stored = webhook ? webhook(live_, object) : answered(object);
      if (!stored) return false;
      object = *std::move(stored);
    }
    if (object == live_) return true;
    live_ = std::move(object);
    ++version_;
    return true;
  }

 private:
  [[nodiscard]] std::optional<json> answered(const json& object) const {
    const auto answer = answer_write(live_, object, order);
    REQUIRE(answer.allowed);
    return object.patch(answer.json_patch);
  }

  /// Fields that the API server fills in: what was sent and what is stored are never quite the same.
  static void default_fields(json& object) {
    auto& spec = object["spec"];
    spec["podManagementPolicy"] = "Parallel";
    auto& strategy = spec["updateStrategy"];
    if (strategy["type"] == "RollingUpdate" && strategy["rollingUpdate"]["partition"].is_null()) {
      strategy["rollingUpdate"]["partition"] = 0;
    }
    spec["template"]["spec"]["restartPolicy"] = "Always";
    for (auto& container : spec["template"]["spec"]["containers"]) container["imagePullPolicy"] = "IfNotPresent";
  }

  json live_;
  int version_ = 1;
  int calls_ = 0;
};

enum class WriteStyle {
  ThreeWay,    ///< Since 1.11.4: a three-way PATCH, and a PUT of the last-applied annotation.
  MergePatch,  ///< Until 1.11.3: one merge PATCH of the whole object.
};

/// What follows the first half of a pass.
enum class AfterPatch { Rest, Put, Refused };

inline AfterPatch operator_patch(StatefulSetServer& server, const Wanted& wanted, WriteStyle style) {
  const json expected = expected_object(wanted);
  const json live = server.live();
  if (live["metadata"]["annotations"].value(kHash, "") == expected["metadata"]["annotations"].value(kHash, "")) {
    return AfterPatch::Rest;
  }
  if (style == WriteStyle::MergePatch) {
    json object = live;
    object.merge_patch(expected);
    return server.write(object) ? AfterPatch::Rest : AfterPatch::Refused;
  }
  const auto text = live["metadata"]["annotations"].value(kLastApplied, "");
  const json applied = text.empty() ? json() : json::parse(text);
  return server.write(three_way(applied, expected, live)) ? AfterPatch::Put : AfterPatch::Refused;
}

inline bool operator_put(StatefulSetServer& server, const Wanted& wanted) {
  json object = server.live();
  json applied = expected_object(wanted);
  applied["metadata"]["resourceVersion"] = std::to_string(server.version());
  object["metadata"]["annotations"][kLastApplied] = applied.dump();
  return server.write(object);
}

/// False: refused. An operator leaves its other StatefulSets alone then.
inline bool operator_pass(StatefulSetServer& server, const Wanted& wanted, WriteStyle style) {
  const auto after = operator_patch(server, wanted, style);
  return after == AfterPatch::Put ? operator_put(server, wanted) : after == AfterPatch::Rest;
}

/// The StatefulSet of a cluster that has been running for a while.
inline StatefulSetServer settled(const Wanted& wanted, WriteStyle style) {
  json object = expected_object(wanted);
  if (style == WriteStyle::ThreeWay) object["metadata"]["annotations"][kLastApplied] = expected_object(wanted).dump();
  return StatefulSetServer(std::move(object));
}

}  // namespace gate::test
