#include "policy/hooks/rollout_configuration.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "policy/hooks/hook_catalogue.hpp"
#include "policy/json/json_member.hpp"
#include "policy/json/member_reader.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// A list of checks has no more entries than there are checks; each may be named once.
constexpr std::size_t kHealthMax = 16;

struct Source {
  std::string field;
  const json& value;
  bool annotated;  ///< Then it is a string, whatever it says.
};

class Reader {
 public:
  Reader(const json& object, RolloutConfiguration& out)
      : annotations_(member(member(object, "metadata"), "annotations")),
        preparation_(member(member(object, "spec"), "upgradePreparation")),
        out_(out) {}

  /// Where a setting is written; nothing where it is not.
  [[nodiscard]] std::optional<Source> source(std::string_view annotation, const char* field) const {
    const json& annotated = member(annotations_, annotation);
    if (!annotated.is_null()) return Source{"metadata.annotations[" + std::string(annotation) + "]", annotated, true};
    const json& written = member(preparation_, field);
    if (!written.is_null()) return Source{"spec.upgradePreparation." + std::string(field), written, false};
    return std::nullopt;
  }

  template <class Value, class From>
  void one_of(const std::optional<Source>& source, From from, const char* accepted, Value& into) {
    if (!source) return;
    if (!source->value.is_string()) return faults_.text_fault(source->field, source->value);
    if (const std::optional<Value> value = from(source->value.get<std::string>())) {
      into = *value;
    } else {
      fault(*source, accepted);
    }
  }

  [[nodiscard]] std::optional<int> integer(const std::optional<Source>& source, int min, int max) {
    if (!source) return std::nullopt;
    std::int64_t number = -1;
    if (source->annotated && !source->value.is_string()) {
      faults_.text_fault(source->field, source->value);
      return std::nullopt;
    }
    if (source->value.is_number_integer()) {
      number = source->value.get<std::int64_t>();
    } else if (source->annotated) {
      const auto& text = source->value.get_ref<const std::string&>();
      const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
      if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) number = -1;
    }
    if (number >= min && number <= max) return static_cast<int>(number);
    const bool quoted = !source->annotated && source->value.is_string();
    fault(*source, "a whole number from " + std::to_string(min) + " to " + std::to_string(max) +
                       (quoted ? ", without quotes" : ""));
    return std::nullopt;
  }

  void health(const std::optional<Source>& source) {
    if (!source) return;
    std::vector<std::string> names;
    if (source->annotated && !source->value.is_string()) return faults_.text_fault(source->field, source->value);
    if (source->value.is_array()) {
      for (const json& item : source->value) names.push_back(MemberReader::shown(item));
    } else if (source->value.is_string()) {
      names = split_names(source->value.get_ref<const std::string&>());
    } else {
      return fault(*source, "a list of predefined checks");
    }
    if (names.size() > kHealthMax) return fault(*source, "at most " + std::to_string(kHealthMax) + " checks");
    std::vector<Probe> probes;
    for (const auto& name : names) {
      const auto* hook = find_predefined(name);
      const auto* probe = hook == nullptr ? nullptr : std::get_if<ProbeAction>(&hook->action);
      if (probe == nullptr) {
        faults_.fault(source->field, name, accepted_checks());
      } else if (std::find(probes.begin(), probes.end(), probe->probe) == probes.end()) {
        probes.push_back(probe->probe);
      }
    }
    if (!probes.empty()) out_.rollout.health = std::move(probes);
  }

  [[nodiscard]] std::vector<ConfigurationFault> faults() && { return std::move(faults_.faults); }

 private:
  static std::string accepted_checks() {
    std::string out;
    for (const auto& hook : hook_catalogue()) {
      if (!std::holds_alternative<ProbeAction>(hook.action)) continue;
      out += (out.empty() ? "one of " : ", ") + std::string(hook.name);
    }
    return out;
  }
  void fault(const Source& source, const std::string& accepted) {
    faults_.fault(source.field, MemberReader::shown(source.value), accepted);
  }

  const json& annotations_;
  const json& preparation_;
  RolloutConfiguration& out_;
  MemberReader faults_;
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
  out.faults = std::move(reader).faults();
  return out;
}

}  // namespace gate
