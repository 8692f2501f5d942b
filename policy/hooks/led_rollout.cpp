#include "policy/hooks/led_rollout.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "policy/text/json_member.hpp"
#include "policy/text/names.hpp"

namespace gate {
namespace {

using nlohmann::json;

constexpr Names<RolloutMode, 3> kModes{
    {{RolloutMode::Operator, "operator"}, {RolloutMode::Ordered, "ordered"}, {RolloutMode::Stepwise, "stepwise"}}};
constexpr Names<AdmissionMode, 2> kAdmissions{{{AdmissionMode::Refuse, "refuse"}, {AdmissionMode::Hold, "hold"}}};
constexpr Names<TurnPhase, 4> kPhases{{{TurnPhase::Held, "Held"},
                                       {TurnPhase::Rolling, "Rolling"},
                                       {TurnPhase::Paused, "Paused"},
                                       {TurnPhase::Done, "Done"}}};

/// Fields of an object that others may have written; the first that is wrong is remembered.
class Fields {
 public:
  Fields(const json& object, std::string path, std::string& fault)
      : object_(object), path_(std::move(path)), fault_(fault) {
    if (!object.is_null() && !object.is_object()) wrong("", "an object");
  }

  int integer(std::string_view key, int fallback, int max) {
    const json& value = member(object_, key);
    if (value.is_null()) return fallback;
    if (value.is_number_integer()) {
      const auto number = value.get<std::int64_t>();
      if (number >= 0 && number <= max) return static_cast<int>(number);
    }
    wrong(key, "an integer from 0 to " + std::to_string(max));
    return fallback;
  }
  std::string text(std::string_view key) {
    const json& value = member(object_, key);
    if (!value.is_null() && !value.is_string()) wrong(key, "a string");
    return text_member(object_, key);
  }
  template <class From, class Value>
  Value one_of(std::string_view key, From from, Value fallback) {
    const auto written = text(key);
    if (written.empty()) return fallback;
    const std::optional<Value> value = from(written);
    if (!value) wrong(key, "a known value");
    return value.value_or(fallback);
  }
  template <class From, class Value>
  std::vector<Value> list_of(std::string_view key, From from, std::vector<Value> fallback) {
    const json& list = member(object_, key);
    if (list.is_null()) return fallback;
    std::vector<Value> out;
    if (!list.is_array()) {
      wrong(key, "a list");
      return fallback;
    }
    for (const json& item : list) {
      const std::optional<Value> value = item.is_string() ? from(item.get<std::string>()) : std::nullopt;
      if (value) {
        out.push_back(*value);
      } else {
        wrong(key, "a list of known values");
      }
    }
    return out;
  }
  void wrong(std::string_view key, const std::string& wanted) {
    if (fault_.empty()) fault_ = path_ + (key.empty() ? "" : ".") + std::string(key) + ": expected " + wanted;
  }

 private:
  const json& object_;
  const std::string path_;
  std::string& fault_;
};

constexpr int kStepsMax = 1 << 30;

json to_json(const Turn& turn) {
  json components = json::array();
  for (const auto component : turn.components) components.push_back(to_string(component));
  json out{{"components", std::move(components)},
           {"phase", to_string(turn.phase)},
           {"step", turn.step},
           {"of", turn.of},
           {"partition", turn.partition}};
  if (!turn.waiting_for.empty()) out["waitingFor"] = turn.waiting_for;
  if (turn.since) out["since"] = format_time(*turn.since);
  if (turn.readings != 0) out["healthyReadings"] = turn.readings;
  return out;
}

Turn turn_from(const json& source, std::string& fault) {
  Turn out;
  Fields fields(source, "turns", fault);
  out.components = fields.list_of("components", component_from, out.components);
  out.phase = fields.one_of(
      "phase", [](std::string_view text) { return value_of(kPhases, text); }, out.phase);
  out.step = fields.integer("step", 0, kStepsMax);
  out.of = fields.integer("of", 0, kStepsMax);
  out.partition = fields.integer("partition", 0, kStepsMax);
  out.waiting_for = fields.text("waitingFor");
  out.since = parse_time(fields.text("since"));
  out.readings = fields.integer("healthyReadings", 0, kReadingsMax);
  return out;
}

}  // namespace

std::string_view to_string(RolloutMode mode) { return name_of(kModes, mode); }
std::string_view to_string(AdmissionMode mode) { return name_of(kAdmissions, mode); }
std::string_view to_string(TurnPhase phase) { return name_of(kPhases, phase); }
std::optional<RolloutMode> rollout_mode_from(std::string_view text) { return value_of(kModes, text); }
std::optional<AdmissionMode> admission_mode_from(std::string_view text) { return value_of(kAdmissions, text); }

json to_json(const LedRollout& rollout) {
  json health = json::array();
  for (const auto probe : rollout.health) health.push_back(to_string(probe));
  return {{"mode", to_string(rollout.mode)},
          {"admission", to_string(rollout.admission)},
          {"health", std::move(health)},
          {"healthReadings", rollout.readings},
          {"stepTimeoutSeconds", rollout.step_timeout.count()}};
}

LedRollout led_rollout_from(const json& source, std::string& fault) {
  LedRollout out;
  Fields fields(source, "rollout", fault);
  out.mode = fields.one_of("mode", rollout_mode_from, out.mode);
  out.admission = fields.one_of("admission", admission_mode_from, out.admission);
  out.health = fields.list_of("health", probe_from, out.health);
  out.readings = std::max(1, fields.integer("healthReadings", out.readings, kReadingsMax));
  out.step_timeout = std::chrono::seconds(fields.integer(
      "stepTimeoutSeconds", static_cast<int>(out.step_timeout.count()), static_cast<int>(kStepTimeoutMax.count())));
  return out;
}

std::string names_of(const Turn& turn) {
  std::string out;
  for (const auto component : turn.components) {
    if (!out.empty()) out += ", ";
    out += to_string(component);
  }
  return out;
}

std::string turn_column(const std::vector<Turn>& turns) {
  const auto now =
      std::find_if(turns.begin(), turns.end(), [](const Turn& turn) { return turn.phase != TurnPhase::Done; });
  if (now == turns.end()) return {};
  const auto steps = std::to_string(now->step) + "/" + std::to_string(now->of);
  switch (now->phase) {
    case TurnPhase::Rolling:
      return names_of(*now) + " " + steps;
    case TurnPhase::Paused:
      return names_of(*now) + " " + steps + " Paused";
    case TurnPhase::Held:
    case TurnPhase::Done:
      break;
  }
  return names_of(*now) + " Held";
}

void write_progress(const RolloutProgress& progress, json& status) {
  if (!progress.turns.empty()) {
    json turns = json::array();
    for (const auto& turn : progress.turns) turns.push_back(to_json(turn));
    status["turns"] = std::move(turns);
    status["turn"] = turn_column(progress.turns);
  }
  if (progress.back) status["rollingBack"] = true;
  if (progress.image_pushed) status["imagePushed"] = true;
  if (!progress.resume.empty()) status["resumeSeen"] = progress.resume;
}

RolloutProgress progress_from(const json& status, std::string& fault) {
  RolloutProgress out;
  const json& turns = member(status, "turns");
  if (!turns.is_null() && !turns.is_array() && fault.empty()) fault = "turns: expected an array";
  if (turns.is_array()) {
    for (const json& turn : turns) out.turns.push_back(turn_from(turn, fault));
  }
  const auto is_true = [&](std::string_view key) { return member(status, key) == json(true); };
  out.back = is_true("rollingBack");
  out.image_pushed = is_true("imagePushed");
  out.resume = text_member(status, "resumeSeen");
  return out;
}

}  // namespace gate
