#include "server/preparation/lifecycle/rollout_leader.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "policy/hooks/rollout_configuration.hpp"
#include "policy/json/json_member.hpp"
#include "policy/text/text.hpp"
#include "server/base/log.hpp"
#include "server/preparation/frontends/frontend_probes.hpp"
#include "server/preparation/hooks/fenced_peers.hpp"
#include "server/preparation/records/key.hpp"

namespace gate {
namespace {

/// Of the resume annotation; longer values are compared by their beginning.
constexpr std::size_t kResumeMax = 128;
/// A host name, a port and a time.
constexpr std::size_t kFrontendNameMax = 300;
constexpr std::string_view kCreateImage = "ALTER SYSTEM CREATE IMAGE";

/// Forward: true. Back: false. Nothing: images of somebody else's; other records have to say what becomes of them.
std::optional<bool> direction(const PreparationSpec& spec, const nlohmann::json& object) {
  const auto all = [&](const auto& image_of) {
    return std::all_of(spec.changes.begin(), spec.changes.end(), [&](const ImageChange& change) {
      return component_image(object, change.component) == image_of(change);
    });
  };
  if (all([](const ImageChange& change) { return change.to; })) return true;
  if (all([&](const ImageChange& change) { return way_back(spec, change); })) return false;
  return std::nullopt;
}

std::string headline(const RolloutProgress& progress) {
  const Turn* now = present_turn(progress.turns);
  if (now == nullptr) return {};
  std::string out = names_of(*now) + ": ";
  switch (now->phase) {
    case TurnPhase::Held:
    case TurnPhase::Done:
      return out + "held";
    case TurnPhase::Paused:
      out += "paused at ";
      break;
    case TurnPhase::Rolling:
      break;
  }
  return out + "step " + std::to_string(now->step) + " of " + std::to_string(now->of) +
         (progress.back ? ", rolling back" : "");
}

/// The FE that leads, while it counts: before FEs restart, and while some have not. "" where it cannot be told.
std::string leading_frontend(const Preparation& record, FrontendFleet& fleet, Deadline deadline) {
  const auto& known = record.status.rollout.turns;
  const auto turns = known.empty() ? plan_turns(record.spec) : known;
  const Turn* now = present_turn(turns);
  const bool counts =
      now != nullptr && (now->phase == TurnPhase::Held || now->partition > 0) &&
      std::find(now->components.begin(), now->components.end(), Component::Frontend) != now->components.end();
  if (!counts) return {};
  const auto rows = fleet.execute("SHOW FRONTENDS", deadline);
  for (std::size_t row = 0; rows && row < rows->rows.size(); ++row) {
    if (is_leader_role(rows->text(row, "Role"))) return clean_text(rows->text(row, "Name"), kFrontendNameMax);
  }
  return {};
}

}  // namespace

Result<RolloutObservation> RolloutLeader::observe_rollout(const Preparation& record, const nlohmann::json& object,
                                                          bool back, FrontendConnector& connector, Deadline deadline) {
  RolloutObservation seen;
  seen.now = clock_.wall_now();
  seen.back = back;
  const auto& annotations = member(member(object, "metadata"), "annotations");
  seen.resume = clean_text(text_member(annotations, annotation::kUpgradeResume), kResumeMax);
  auto sets = clusters_.stateful_sets(record, deadline);
  if (!sets) return sets.error();
  seen.sets = std::move(sets).value();
  if (back) return seen;  // the way back needs no database
  auto access = clusters_.frontend_access(record.name_space, record.spec.cluster, deadline);
  if (!access) {
    seen.unwell = access.error().message;
    return seen;
  }
  FrontendFleet fleet(connector, std::move(access).value(), clock_);
  const auto nodes = fleet.nodes(deadline);
  if (!nodes) {
    seen.unwell = nodes.error().message;
    return seen;
  }
  seen.leading_frontend = leading_frontend(record, fleet, deadline);
  seen.renewed.emplace();
  for (const auto& change : record.spec.changes) {
    (*seen.renewed)[change.component] = nodes_renewed(record, change.component, *nodes);
  }
  for (const auto probe : record.spec.rollout.health) {
    const auto observed = observe(fleet, probe, deadline);
    if (observed && observed->holds) continue;
    seen.unwell = observed ? observed->text : observed.error().message;
    break;
  }
  return seen;
}

std::string RolloutLeader::push_image(const Preparation& record, FrontendConnector& connector, Deadline deadline) {
  auto access = clusters_.frontend_access(record.name_space, record.spec.cluster, deadline);
  if (!access) return access.error().message;
  FrontendFleet fleet(connector, std::move(access).value(), clock_);
  // The leader makes it and pushes it to the others. No statement tells when it has; the health readings that follow
  // include that no FE lags behind.
  const auto asked = fleet.execute_on_leader(kCreateImage, deadline);
  return asked ? std::string{} : asked.error().message;
}

/// A part was taken back, or has somebody else's image: there is no order any more in which the rest could go. Nothing
/// is kept back; the settings stay until the pods are where the object has them.
Status RolloutLeader::let_go(ClaimedRecord& claim, const Preparation& record, Deadline deadline) {
  RolloutProgress progress;
  progress.back = true;
  if (record.status.rollout == progress) return Ok{};
  auto stored = claim.update([&](PreparationStatus& status) { status.rollout = progress; }, deadline);
  if (stored) {
    clusters_.emit_event(record, true, "UpgradeRolloutLetGo",
                         "the object has other images than this rollout leads to or came from; its pods are not held");
  }
  return stored;
}

Result<LeadLook> RolloutLeader::look(ClaimedRecord& claim, const nlohmann::json& object,
                                     const std::vector<Preparation>& others, Deadline deadline,
                                     const std::string& unset) {
  const auto record = claim.snapshot();
  LeadLook out;
  const auto forward = direction(record.spec, object);
  if (record.spec.rollout.mode == RolloutMode::Operator) return out;
  if (!forward) {
    auto stored = let_go(claim, record, deadline);
    if (!stored) return stored.error();
    return out;
  }
  out.led = true;
  FencedConnector connector(connector_, claim);
  auto seen = observe_rollout(record, object, !*forward, connector, deadline);
  if (!seen) return seen.error();
  if (*forward && seen->unwell.empty() && !unset.empty()) seen->unwell = "settings are not confirmed: " + unset;
  seen->ahead = rolls_before(record, others);
  auto move = next_move(record, *seen);
  if (move.push_image) {
    const auto failed = push_image(record, connector, deadline);
    if (failed.empty()) {
      move.progress.image_pushed = true;
      move.events.push_back({false, "UpgradeImagePushed", "every FE gets an image of the metadata before FEs restart"});
    } else {
      log_warning(log_, "image not pushed", {{"preparation", key_of(record)}, {"error", failed}});
    }
  }
  if (move.progress != record.status.rollout) {
    // Before it is told: the webhook answers by what is stored.
    auto stored = claim.update([&](PreparationStatus& status) { status.rollout = move.progress; }, deadline);
    if (!stored) return stored.error();
  }
  for (const auto& event : move.events) {
    log_info(log_, "rollout", {{"preparation", key_of(record)}, {"event", event.reason}, {"what", event.message}});
    clusters_.emit_event(record, event.warning, event.reason, event.message);
  }
  out.waiting_for = headline(move.progress);
  out.finished = out.waiting_for.empty();
  return out;
}

}  // namespace gate
