#pragma once
// An Event of the core API, as the gate writes each; for .cpp files of this folder.

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "policy/text/time.hpp"

namespace gate {

struct EventBody {
  std::string name;
  std::string name_space;
  nlohmann::json about;    ///< involvedObject.
  nlohmann::json related;  ///< The other object that it is about; null: none.
  bool warning = false;
  std::string reason;   ///< CamelCase.
  std::string message;  ///< Cleaned and bounded by the caller.
  WallTime at{};
  std::string identity;  ///< Of the replica.
};

[[nodiscard]] inline nlohmann::json to_json(EventBody event) {
  const std::string written = format_time(event.at);
  nlohmann::json body{{"apiVersion", "v1"},
                      {"kind", "Event"},
                      {"metadata", {{"name", std::move(event.name)}, {"namespace", std::move(event.name_space)}}},
                      {"involvedObject", std::move(event.about)},
                      {"reason", std::move(event.reason)},
                      {"message", std::move(event.message)},
                      {"type", event.warning ? "Warning" : "Normal"},
                      {"count", 1},
                      {"firstTimestamp", written},
                      {"lastTimestamp", written},
                      {"source", {{"component", "upgrade-gate"}}},
                      {"reportingComponent", "upgrade-gate"},
                      {"reportingInstance", std::move(event.identity)}};
  if (!event.related.is_null()) body["related"] = std::move(event.related);
  return body;
}

}  // namespace gate
