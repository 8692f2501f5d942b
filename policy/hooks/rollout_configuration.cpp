#include "policy/hooks/rollout_configuration.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "policy/hooks/hook_catalogue.hpp"
#include "policy/text/json_member.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// A list of checks has no more entries than there are checks; each may be named once.
constexpr std::size_t kHealthMax = 16;

struct Source {
  std::string field;
  const json& value;
};

std::string shown(const json& value) {
  return clean_text(value.is_string() ? value.get<std::string>()
                                      : value.dump(-1, ' ', false, json::error_handler_t::replace));
}

class Reader {
 public:
  Reader(const json& object, RolloutConfiguration& out)
      : annotations_(member(member(object, "metadata"), "annotations")),
        preparation_(member(member(object, "spec"), "upgradePreparation")),
        out_(out) {}

  /// Where a setting is written; nothing where it is not.
  [[nodiscard]] std::optional<Source> source(std::string_view annotation, const char* field) const {
    const json& annotated = member(annotations_, annotation);
    if (!annotated.is_null()) return Source{"metadata.annotations[" + std::string(annotation) + "]", annotated};
    const json& written = member(preparation_, field);
    if (!written.is_null()) return Source{"spec.upgradePreparation." + std::string(field), written};
    return std::nullopt;
  }

  template <class Value, class From>
  void one_of(const std::optional<Source>& source, From from, const char* accepted, Value& into) {
    if (!source) return;
    const std::optional<Value> value =
        source->value.is_string() ? from(source->value.get<std::string>()) : std::nullopt;
    if (value) {
      into = *value;
    } else {
      fault(*source, accepted);
    }
  }

  [[nodiscard]] std::optional<int> integer(const std::optional<Source>& source, int min, int max) {
    if (!source) return std::nullopt;
    std::int64_t number = -1;
    if (source->value.is_number_integer()) {
      number = source->value.get<std::int64_t>();
    } else if (source->value.is_string()) {
      const auto& text = source->value.get_ref<const std::string&>();
      const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
      if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) number = -1;
    }
    if (number >= min && number <= max) return static_cast<int>(number);
    fault(*source, "an integer from " + std::to_string(min) + " to " + std::to_string(max));
    return std::nullopt;
  }

  void health(const std::optional<Source>& source) {
    if (!source) return;
    std::vector<std::string> names;
    if (source->value.is_array()) {
      for (const json& item : source->value) names.push_back(item.is_string() ? item.get<std::string>() : shown(item));
    } else if (source->value.is_string()) {
      names = split(source->value.get_ref<const std::string&>());
    } else {
      return fault(*source, "a list of predefined checks");
    }
    if (names.size() > kHealthMax) return fault(*source, "at most " + std::to_string(kHealthMax) + " checks");
    std::vector<Probe> probes;
    for (const auto& name : names) {
      const auto* hook = find_predefined(name);
      const auto* probe = hook == nullptr ? nullptr : std::get_if<ProbeAction>(&hook->action);
      if (probe == nullptr) {
        fault({source->field, json(name)}, accepted_checks());
      } else if (std::find(probes.begin(), probes.end(), probe->probe) == probes.end()) {
        probes.push_back(probe->probe);
      }
    }
    if (!probes.empty()) out_.rollout.health = std::move(probes);
  }

 private:
  static std::vector<std::string> split(std::string_view list) {
    std::vector<std::string> out;
    while (!list.empty()) {
      const auto comma = std::min(list.find(','), list.size());
      auto name = list.substr(0, comma);
      list.remove_prefix(std::min(comma + 1, list.size()));
      name.remove_prefix(std::min(name.find_first_not_of(' '), name.size()));
      name = name.substr(0, name.find_last_not_of(' ') + 1);
      if (!name.empty()) out.emplace_back(name);
    }
    return out;
  }
  static std::string accepted_checks() {
    std::string out;
    for (const auto& hook : hook_catalogue()) {
      if (!std::holds_alternative<ProbeAction>(hook.action)) continue;
      out += (out.empty() ? "one of " : ", ") + std::string(hook.name);
    }
    return out;
  }
  void fault(const Source& source, const std::string& accepted) {
    out_.faults.push_back({source.field, shown(source.value), accepted});
  }

  const json& annotations_;
  const json& preparation_;
  RolloutConfiguration& out_;
};

}  // namespace

RolloutConfiguration resolve_rollout(const json& object, const LedRollout& defaults) {
  RolloutConfiguration out;
  out.rollout = defaults;
  Reader reader(object, out);
  reader.one_of(reader.source(annotation::kUpgradeAdmission, "admission"), admission_mode_from, "one of refuse, hold",
                out.rollout.admission);
  reader.one_of(reader.source(annotation::kUpgradeRollout, "rollout"), rollout_mode_from,
                "one of operator, ordered, stepwise", out.rollout.mode);
  reader.health(reader.source(annotation::kUpgradeHealth, "health"));
  if (const auto readings =
          reader.integer(reader.source(annotation::kHealthReadings, "healthReadings"), 1, kReadingsMax)) {
    out.rollout.readings = *readings;
  }
  if (const auto timeout =
          reader.integer(reader.source(annotation::kStepTimeout, "stepTimeoutSeconds"),
                         static_cast<int>(kStepTimeoutMin.count()), static_cast<int>(kStepTimeoutMax.count()))) {
    out.rollout.step_timeout = std::chrono::seconds(*timeout);
  }
  return out;
}

}  // namespace gate
