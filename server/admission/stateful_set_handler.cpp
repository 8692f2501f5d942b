#include "server/admission/stateful_set_handler.hpp"

#include <nlohmann/json.hpp>

#include "policy/decision/decision.hpp"
#include "policy/hooks/rollout_configuration.hpp"
#include "policy/json/json_member.hpp"
#include "policy/rollout/turns.hpp"
#include "policy/text/text.hpp"
#include "server/admission/final_error.hpp"
#include "server/base/log.hpp"

namespace gate {
namespace {

/// As what is no review is answered.
constexpr int kBadRequest = 400;

std::string_view to_text(SetVerdict verdict) {
  switch (verdict) {
    case SetVerdict::Pass:
      return "passed";
    case SetVerdict::Hold:
      return "held";
    case SetVerdict::Steer:
      return "steered";
  }
  return "";
}

}  // namespace

Result<SetOrder> StatefulSetHandler::order(const AdmissionRequest& request, const StatefulSetWrite& write,
                                           Deadline deadline) const {
  const auto owner = clusters_.get_object(request.name_space, write.owner, deadline);
  if (!owner) {
    // What has no owner any more is being taken away, or was orphaned on purpose.
    if (owner.error().code == ErrorCode::NotFound) return SetOrder{};
    return owner.error();
  }
  if (text_member(member(*owner, "metadata"), "uid") != write.owner.uid || being_deleted(*owner)) return SetOrder{};
  const auto cluster =
      write.owner.kind == kWarehouseKind ? text_member(member(*owner, "spec"), "starRocksCluster") : write.owner.name;
  const auto records = store_.list_of_cluster(request.name_space, cluster, deadline);
  if (!records) return records.error();
  const auto asked = resolve_hooks({.object = *owner, .default_hooks = default_hooks_, .rollout_defaults = defaults_});
  return order_of(write, *records, asked.rollout.leads(), unchanged_images(write.owner.kind, *owner, {}));
}

AdmissionAnswer StatefulSetHandler::answer(const AdmissionRequest& request, Deadline deadline) const {
  if (request.operation != Operation::Update || !request.subresource.empty()) return allow();
  if (!request.old_object.is_object() || !request.object.is_object()) {
    return deny(kBadRequest, "BadRequest",
                "upgrade gate: the review of StatefulSet " + clean_text(request.name) +
                    " lacks the object or the oldObject; nothing was changed");
  }
  const auto write = stateful_set_write(request.old_object, request.object);
  if (!write) return allow();
  if (write->old_image == write->new_image && !write->marked) return allow();
  const auto known = order(request, *write, deadline);
  if (!known) {
    log_warning(log_, "rollout not known",
                {{"namespace", request.name_space}, {"statefulset", write->name}, {"error", known.error().message}});
    // Also where it is held already: a no-op would look to the operator as if all were done, and it would come back
    // only at its resync, minutes later; what was refused it repeats.
    return deny(kDenialCode, std::string(reason::kUnavailable),
                "upgrade gate: it is not known whether StatefulSet " + write->name + " may go to another image (" +
                    clean_text(known.error().message) + "); nothing was changed, try again");
  }
  auto answer = answer_write(request.old_object, request.object, *known);
  const auto verdict = to_text(known->verdict);
  answer.audit.push_back({"decision", "statefulset-" + std::string(verdict)});
  if (!answer.json_patch.is_null() && !answer.json_patch.empty()) {
    log_debug(log_, "statefulset changed",
              {{"namespace", request.name_space},
               {"statefulset", write->name},
               {"verdict", verdict},
               {"partition", known->partition}});
  }
  return answer;
}

namespace {

/// Names one annotation and its value, so that the first line of a refusal has room for the obstacle.
ConfigurationFault cannot_be_led(const LedRollout& rollout, const std::string& obstacle) {
  const bool holds = rollout.admission == AdmissionMode::Hold;
  if (rollout.mode == RolloutMode::Operator) {
    return {std::string(annotation::kUpgradeAdmission), std::string(to_string(rollout.admission)),
            "refuse, as " + clean_text(obstacle)};
  }
  return {std::string(annotation::kUpgradeRollout), std::string(to_string(rollout.mode)),
          (holds ? "operator, and refuse in place of hold, as " : "operator, as ") + clean_text(obstacle)};
}

}  // namespace

void require_leading(HookConfiguration& configuration, ClusterAccess& clusters, const std::string& name_space,
                     bool dry_run, Deadline deadline) {
  if (!configuration.rollout.leads()) return;
  const auto obstacle = clusters.obstacle_to_leading(name_space, deadline);
  if (!obstacle) {
    configuration.unread.push_back("whether rollouts may be led: " + obstacle.error().message);
    configuration.unread_lasts = configuration.unread_lasts || is_final(obstacle.error());
  } else if (!obstacle->empty() && configuration.led_by_default) {
    configuration.rollout.mode = RolloutMode::Operator;
    configuration.rollout.admission = AdmissionMode::Refuse;
    configuration.led_by_default = false;
    configuration.configured = !configuration.only_led;
    configuration.warnings.push_back(clean_text("not led by default: " + *obstacle, kWarningMax));
  } else if (!obstacle->empty() && dry_run) {
    configuration.warnings.push_back(clean_text("would be refused: " + *obstacle, kWarningMax));
  } else if (!obstacle->empty()) {
    configuration.faults.push_back(cannot_be_led(configuration.rollout, *obstacle));
  }
}

}  // namespace gate
