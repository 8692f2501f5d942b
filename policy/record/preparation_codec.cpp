#include "policy/record/preparation_codec.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "policy/json/field_codec.hpp"
#include "policy/record/conditions.hpp"

namespace gate {
namespace {

using nlohmann::json;

constexpr const char* kComponents = "fe, be, cn or warehouse";

// What has its default is left out of a hook: its key does not change when the gate learns a new field.

template <class Fields, class Action>
void fields_of_sql(Fields& fields, Action& action) {
  fields.required("sql", action.sql);
  fields.optional_child("setting", action.setting, [](auto& setting, auto& value) {
    setting.required("key", value.key);
    setting.required("value", value.value);
  });
}

template <class Fields, class Action>
void fields_of_query(Fields& fields, Action& action) {
  fields.child("query", [&](auto& query) {
    query.required("sql", action.sql);
    query.text("column", action.column);
    query.one_of("comparison", action.comparison, comparison_from);
    query.always("value", action.value);
    query.always("pollSeconds", action.poll);
  });
}

template <class Fields, class Action>
void fields_of_http(Fields& fields, Action& action) {
  fields.child("http", [&](auto& http) {
    http.required("url", action.url);
    http.text("caBundle", action.ca_pem);
    http.child_if(!action.token_secret.empty(), "tokenSecret", [&](auto& token) {
      token.always("name", action.token_secret);
      token.always("key", action.token_key);
    });
    http.always("pollSeconds", action.poll);
  });
}

template <class Fields, class Action>
void fields_of_script(Fields& fields, Action& action) {
  fields.child("script", [&](auto& script) {
    script.required("text", action.script);
    script.always("postUpgrade", action.post_upgrade);
  });
}

/// The member of a hook that says what it does: the name of the member is the kind of the action.
template <class Fields, class Action>
void fields_of_action(Fields& fields, Action& action) {
  if constexpr (Fields::kReads) {
    if (fields.has("probe")) action = ProbeAction{};
    if (fields.has("query")) action = QueryAction{};
    if (fields.has("http")) action = HttpAction{};
    if (fields.has("script")) action = ScriptAction{};
  }
  std::visit(
      [&](auto& kind) {
        using Kind = std::remove_cvref_t<decltype(kind)>;
        if constexpr (std::is_same_v<Kind, SqlAction>) fields_of_sql(fields, kind);
        if constexpr (std::is_same_v<Kind, ProbeAction>) fields.one_of("probe", kind.probe, probe_from);
        if constexpr (std::is_same_v<Kind, QueryAction>) fields_of_query(fields, kind);
        if constexpr (std::is_same_v<Kind, HttpAction>) fields_of_http(fields, kind);
        if constexpr (std::is_same_v<Kind, ScriptAction>) fields_of_script(fields, kind);
      },
      action);
}

constexpr auto kHookFields = [](auto& fields, auto& hook) {
  fields.required("name", hook.name);
  fields_of_action(fields, hook.action);
  fields.always("critical", hook.critical);
  fields.always("timeoutSeconds", hook.timeout);
  fields.unless("retries", hook.retries, 0);
  fields.text("group", hook.group);
  fields.text("runMode", hook.run_mode);
  fields.one_of_unless("restore", hook.restore, RestoreMode::Captured, restore_mode_from);
  fields.text("restoreSql", hook.restore_sql);
};

/// A component has no default: it is always there.
constexpr auto kComponentField = [](auto& fields, auto& component) {
  if constexpr (std::remove_cvref_t<decltype(fields)>::kReads) {
    if (!fields.has("component")) return fields.fail("component", kComponents);
  }
  fields.one_of("component", component, component_from, kComponents);
};

constexpr auto kChangeFields = [](auto& fields, auto& change) {
  kComponentField(fields, change.component);
  fields.required("from", change.from);
  fields.required("to", change.to);
};

constexpr auto kComponentImageFields = [](auto& fields, auto& image) {
  kComponentField(fields, image.component);
  fields.required("image", image.image);
};

constexpr auto kHookStatusFields = [](auto& fields, auto& hook) {
  fields.required("name", hook.name);
  fields.one_of("phase", hook.phase, hook_phase_from);
  fields.always("attempts", hook.attempts);
  fields.time("startTime", hook.start_time);
  fields.time("completionTime", hook.completion_time);
  fields.text("message", hook.message);
};

constexpr auto kCapturedFields = [](auto& fields, auto& captured) {
  fields.required("key", captured.key);
  fields.always("value", captured.value);
  fields.always("setTo", captured.set_to);
};

constexpr auto kUndoFields = [](auto& fields, auto& undo) {
  fields.required("hook", undo.hook);
  fields.always("timeoutSeconds", undo.timeout);
  fields.text("sql", undo.sql);
  fields.text("script", undo.script);
};

constexpr auto kNodeFields = [](auto& fields, auto& node) {
  kComponentField(fields, node.component);
  fields.required("name", node.name);
  fields.text("started", node.started);
  fields.text("version", node.version);
  fields.unless("alive", node.alive, true);
};

constexpr auto kRolloutFields = [](auto& fields, auto& rollout) {
  fields.one_of("mode", rollout.mode, rollout_mode_from);
  fields.one_of("admission", rollout.admission, admission_mode_from);
  fields.each_of("health", rollout.health, probe_from);
  fields.bounded("healthReadings", rollout.readings, 1, kReadingsMax);
  fields.always("stepTimeoutSeconds", rollout.step_timeout);
};

constexpr auto kTurnFields = [](auto& fields, auto& turn) {
  fields.each_of("components", turn.components, component_from, kComponents);
  fields.one_of("phase", turn.phase, turn_phase_from);
  fields.always("step", turn.step);
  fields.always("of", turn.of);
  fields.always("partition", turn.partition);
  fields.text("waitingFor", turn.waiting_for);
  fields.time("since", turn.since);
  fields.unless("healthyReadings", turn.readings, 0);
  fields.time("startTime", turn.began);
  fields.time("completionTime", turn.ended);
};

template <class Fields, class Spec>
void fields_of_spec(Fields& fields, Spec& spec) {
  fields.child("objectRef", [&](auto& object) {
    object.required("kind", spec.object.kind);
    object.required("name", spec.object.name);
    object.required("uid", spec.object.uid);
  });
  fields.child("clusterRef", [&](auto& cluster) { cluster.required("name", spec.cluster); });
  fields.always("attempt", spec.attempt);
  fields.list("changes", spec.changes, kChangeFields);
  fields.list("hooks", spec.hooks, kHookFields);
  fields.one_of_unless("mode", spec.mode, PreparationMode::Run, mode_from);
  fields.child_if(true, "requestedBy", [&](auto& requested) {
    requested.always("username", spec.requested_by.username);
    requested.always("requestUID", spec.requested_by.request_uid);
    requested.texts("groups", spec.requested_by.groups);
    requested.text("traceparent", spec.requested_by.traceparent);
  });
  fields.text("supersedes", spec.supersedes);
  fields.text("candidateOf", spec.candidate_of);
  fields.list_unless_empty("origins", spec.origins, kComponentImageFields);
  fields.each_of_unless_empty("cures", spec.cures, component_from, kComponents);
  fields.text("retryToken", spec.retry_token);
  fields.unless("askedBefore", spec.asked_before, false);
  fields.child_if(spec.rollout != LedRollout{}, "rollout",
                  [&](auto& rollout) { kRolloutFields(rollout, spec.rollout); });
  fields.optional_child("bypass", spec.bypass, [](auto& bypass, auto& value) {
    bypass.required("target", value.target);
    bypass.always("reason", value.reason);
    bypass.time("until", value.until);
  });
}

template <class Fields, class Status>
void fields_of_status(Fields& fields, Status& status) {
  fields.one_of("phase", status.phase, phase_from);
  fields.text("reason", status.reason);
  fields.text("message", status.message);
  fields.one_of("stage", status.stage, stage_from);
  fields.one_of("outcome", status.outcome, outcome_from);
  fields.list("hooks", status.hooks, kHookStatusFields);
  fields.list("captured", status.captured, kCapturedFields);
  fields.text("settingsLeader", status.settings_leader);
  fields.list("undo", status.undo, kUndoFields);
  fields.always("restoreOwed", status.restore_pending);
  fields.always("takenOver", status.taken_over);
  fields.time("startTime", status.start_time);
  fields.time("completionTime", status.completion_time);
  fields.time("admittedTime", status.admitted_time);
  fields.time("rolledOutTime", status.rolled_out_time);
  fields.time("rolledBackTime", status.rolled_back_time);
  fields.list_unless_empty("rolledBackTo", status.rolled_back_to, kComponentImageFields);
  fields.unless("podsMoved", status.pods_moved, false);
  fields.time("restoringTime", status.restoring_time);
  fields.time("restoredTime", status.restored_time);
  fields.time("reopenedTime", status.reopened_time);
  fields.list_unless_empty("nodesBefore", status.nodes_before, kNodeFields);
  fields.child_if(!status.runner.identity.empty(), "runner", [&](auto& runner) {
    runner.always("identity", status.runner.identity);
    runner.time("renewTime", status.runner.renew_time);
  });
  fields.list_unless_empty("turns", status.rollout.turns, kTurnFields);
  fields.unless("rollingBack", status.rollout.back, false);
  fields.unless("imagePushed", status.rollout.image_pushed, false);
  fields.text("resumeSeen", status.rollout.resume);
}

json spec_to_json(const PreparationSpec& spec) {
  json out = json::object();
  FieldWriter fields(out);
  fields_of_spec(fields, spec);
  return out;
}

/// "be 3.3.1, cn 3.3.1" for the printer columns.
std::string images_column(const std::vector<ImageChange>& changes, std::string ImageChange::*side) {
  std::string out;
  for (const auto& change : changes) {
    if (!out.empty()) out += ", ";
    out += std::string(to_string(change.component)) + " " + image_version(change.*side);
  }
  return out;
}

/// The hook that keeps the record from completing, for people.
std::string blocking_hook(const PreparationStatus& status) {
  if (status.phase == Phase::Completed) return {};
  for (const auto wanted : {HookPhase::Failed, HookPhase::Running}) {
    for (const auto& hook : status.hooks) {
      if (hook.phase == wanted) return hook.name;
    }
  }
  return {};
}

}  // namespace

json to_json(const LedRollout& rollout) {
  json out = json::object();
  FieldWriter fields(out);
  kRolloutFields(fields, rollout);
  return out;
}

json status_to_json(const Preparation& record) {
  const auto& status = record.status;
  json out = json::object();
  FieldWriter fields(out);
  fields_of_status(fields, status);
  // What follows from the rest, for people and printer columns; never read.
  const auto completed = hooks_in(status, HookPhase::Completed);
  out["completedHooks"] = completed;
  out["failedHooks"] = hooks_in(status, HookPhase::Failed);
  out["progress"] = std::to_string(completed.size() + hooks_in(status, HookPhase::Skipped).size()) + "/" +
                    std::to_string(record.spec.hooks.size());
  out["from"] = images_column(record.spec.changes, &ImageChange::from);
  out["to"] = images_column(record.spec.changes, &ImageChange::to);
  out["conditions"] = to_json(conditions_of(record));
  out["observedGeneration"] = kObservedGeneration;
  fields.text("blocking", blocking_hook(status));
  fields.text("turn", turn_column(status.rollout.turns));
  return out;
}

json identity_to_json(std::string_view object_uid, const std::vector<ImageChange>& changes,
                      const std::vector<Hook>& hooks, PreparationMode mode) {
  json out = json::object();
  FieldWriter fields(out);
  fields.required("uid", object_uid);
  fields.list("changes", changes, kChangeFields);
  fields.list("hooks", hooks, kHookFields);
  fields.one_of_unless("mode", mode, PreparationMode::Run, mode_from);
  return out;
}

json to_json(const Preparation& record) {
  json metadata = json::object();
  FieldWriter fields(metadata);
  fields.required("name", record.name);
  fields.required("namespace", record.name_space);
  fields.text("uid", record.uid);
  fields.text("resourceVersion", record.resource_version);
  fields.time("creationTimestamp", record.creation_time);
  metadata["labels"] = {{kClusterLabel, cluster_label(record.spec.cluster)}};
  // Garbage-collected with its object. Not blockOwnerDeletion: that needs rights on the object's finalizers.
  metadata["ownerReferences"] = json::array({{{"apiVersion", "starrocks.com/v1"},
                                              {"kind", record.spec.object.kind},
                                              {"name", record.spec.object.name},
                                              {"uid", record.spec.object.uid}}});
  return {{"apiVersion", kPreparationApiVersion},
          {"kind", kPreparationKind},
          {"metadata", std::move(metadata)},
          {"spec", spec_to_json(record.spec)},
          {"status", status_to_json(record)}};
}

Result<Preparation> preparation_from_json(const json& object) {
  std::string fault;
  FieldReader reader(object, std::string(kPreparationKind), fault);
  Preparation record;
  reader.child("metadata", [&](FieldReader& metadata) {
    metadata.required("name", record.name);
    metadata.required("namespace", record.name_space);
    metadata.text("uid", record.uid);
    metadata.text("resourceVersion", record.resource_version);
    metadata.time("creationTimestamp", record.creation_time);
    std::string deletion;
    metadata.text("deletionTimestamp", deletion);
    record.deleting = !deletion.empty();
    std::vector<std::string> finalizers;
    metadata.texts("finalizers", finalizers);
    record.held = std::find(finalizers.begin(), finalizers.end(), kRestoreFinalizer) != finalizers.end();
  });
  reader.child("spec", [&](FieldReader& spec) { fields_of_spec(spec, record.spec); });
  reader.child("status", [&](FieldReader& status) { fields_of_status(status, record.status); });
  if (!fault.empty()) return Error{ErrorCode::InvalidInput, fault};
  return record;
}

}  // namespace gate
