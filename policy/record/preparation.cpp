#include "policy/record/preparation.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "policy/record/conditions.hpp"
#include "policy/text/json_member.hpp"
#include "policy/text/names.hpp"

namespace gate {
namespace {

using nlohmann::json;

constexpr Names<Phase, 4> kPhases{{{Phase::Pending, "Pending"},
                                   {Phase::Running, "Running"},
                                   {Phase::Completed, "Completed"},
                                   {Phase::Failed, "Failed"}}};
constexpr Names<Stage, 5> kStages{{{Stage::Preparing, "Preparing"},
                                   {Stage::Prepared, "Prepared"},
                                   {Stage::RollingOut, "RollingOut"},
                                   {Stage::Restoring, "Restoring"},
                                   {Stage::Closed, "Closed"}}};
constexpr Names<Outcome, 7> kOutcomes{{{Outcome::None, ""},
                                       {Outcome::Succeeded, "Succeeded"},
                                       {Outcome::Failed, "Failed"},
                                       {Outcome::Reverted, "Reverted"},
                                       {Outcome::Superseded, "Superseded"},
                                       {Outcome::Expired, "Expired"},
                                       {Outcome::Bypassed, "Bypassed"}}};
constexpr Names<HookPhase, 5> kHookPhases{{{HookPhase::Pending, "Pending"},
                                           {HookPhase::Running, "Running"},
                                           {HookPhase::Completed, "Completed"},
                                           {HookPhase::Failed, "Failed"},
                                           {HookPhase::Skipped, "Skipped"}}};

/// Reads a JSON object's fields; remembers the first one that is missing or of a wrong type, with its path.
class FieldReader {
 public:
  FieldReader(const json& object, std::string path, std::string& fault)
      : object_(object), path_(std::move(path)), fault_(fault) {
    if (!object_.is_object()) fail("", "an object");
  }

  [[nodiscard]] std::string required_text(const char* key) {
    const json* field = find(key);
    if (field == nullptr || !field->is_string()) {
      fail(key, "a string");
      return {};
    }
    return field->get<std::string>();
  }
  [[nodiscard]] std::string text(const char* key) {
    const json* field = find(key);
    if (field == nullptr || field->is_null()) return {};
    return required_text(key);
  }
  [[nodiscard]] int integer(const char* key, int fallback) {
    const json* field = find(key);
    if (field == nullptr || field->is_null()) return fallback;
    if (!field->is_number_integer()) {
      fail(key, "an integer");
      return fallback;
    }
    return field->get<int>();
  }
  [[nodiscard]] std::chrono::seconds seconds(const char* key, std::chrono::seconds fallback) {
    return std::chrono::seconds(integer(key, static_cast<int>(fallback.count())));
  }
  [[nodiscard]] bool boolean(const char* key, bool fallback) {
    const json* field = find(key);
    if (field == nullptr || field->is_null()) return fallback;
    if (!field->is_boolean()) {
      fail(key, "true or false");
      return fallback;
    }
    return field->get<bool>();
  }
  [[nodiscard]] std::optional<WallTime> time(const char* key) {
    const std::string written = text(key);
    if (written.empty()) return std::nullopt;
    auto parsed = parse_time(written);
    if (!parsed) fail(key, "an RFC 3339 time");
    return parsed;
  }
  template <class Enum, std::size_t N>
  [[nodiscard]] Enum one_of(const char* key, const Names<Enum, N>& names, Enum fallback) {
    return one_of(
        key, [&](std::string_view name) { return value_of(names, name); }, fallback);
  }
  template <class From, class Enum>
  [[nodiscard]] Enum one_of(const char* key, From from, Enum fallback) {
    const std::string written = text(key);
    if (written.empty()) return fallback;
    const std::optional<Enum> value = from(written);
    if (!value) fail(key, "a known value, not \"" + written + "\"");
    return value.value_or(fallback);
  }
  /// Calls `each(element, path)` for every element of an optional array.
  template <class Each>
  void list(const char* key, Each each) {
    const json* field = find(key);
    if (field == nullptr || field->is_null()) return;
    if (!field->is_array()) {
      fail(key, "an array");
      return;
    }
    for (std::size_t i = 0; i < field->size(); ++i) {
      each((*field)[i], path_ + "." + key + "[" + std::to_string(i) + "]");
    }
  }
  [[nodiscard]] bool has(const char* key) const {
    const json* field = find(key);
    return field != nullptr && !field->is_null();
  }
  [[nodiscard]] FieldReader child(const char* key) {
    static const json kEmpty = json::object();
    const json* field = find(key);
    return {field == nullptr || field->is_null() ? kEmpty : *field, path_ + "." + key, fault_};
  }
  void fail(const char* key, const std::string& accepted) {
    if (!fault_.empty()) return;
    fault_ = path_ + (*key == '\0' ? "" : ".") + key + ": expected " + accepted;
  }

 private:
  [[nodiscard]] const json* find(const char* key) const {
    if (!object_.is_object()) return nullptr;
    const auto field = object_.find(key);
    return field == object_.end() ? nullptr : &*field;
  }

  const json& object_;
  std::string path_;
  std::string& fault_;
};

void put(json& object, const char* key, const std::optional<WallTime>& time) {
  if (time) object[key] = format_time(*time);
}
void put(json& object, const char* key, std::string_view text) {
  if (!text.empty()) object[key] = text;
}

/// The member of a hook that says what it does: the name of the member is the kind of the action.
struct ActionWriter {
  json& out;
  void operator()(const SqlAction& action) const {
    out["sql"] = action.sql;
    if (action.setting) out["setting"] = {{"key", action.setting->key}, {"value", action.setting->value}};
  }
  void operator()(const ProbeAction& action) const { out["probe"] = to_string(action.probe); }
  void operator()(const QueryAction& action) const {
    json query{{"sql", action.sql},
               {"comparison", to_string(action.comparison)},
               {"value", action.value},
               {"pollSeconds", action.poll.count()}};
    put(query, "column", action.column);
    out["query"] = std::move(query);
  }
  void operator()(const HttpAction& action) const {
    json http{{"url", action.url}, {"pollSeconds", action.poll.count()}};
    put(http, "caBundle", action.ca_pem);
    if (!action.token_secret.empty()) http["tokenSecret"] = {{"name", action.token_secret}, {"key", action.token_key}};
    out["http"] = std::move(http);
  }
  void operator()(const ScriptAction& action) const {
    out["script"] = {{"text", action.script}, {"postUpgrade", action.post_upgrade}};
  }
};

/// What has its default is left out: the key of a hook does not change when the gate learns a new field.
json to_json(const Hook& hook) {
  json out{{"name", hook.name}, {"critical", hook.critical}, {"timeoutSeconds", hook.timeout.count()}};
  std::visit(ActionWriter{out}, hook.action);
  if (hook.retries != 0) out["retries"] = hook.retries;
  put(out, "group", hook.group);
  put(out, "runMode", hook.run_mode);
  if (hook.restore != RestoreMode::Captured) out["restore"] = to_string(hook.restore);
  put(out, "restoreSql", hook.restore_sql);
  return out;
}

json to_json(const ImageChange& change) {
  return {{"component", to_string(change.component)}, {"from", change.from}, {"to", change.to}};
}

json to_json(const ComponentImage& image) {
  return {{"component", to_string(image.component)}, {"image", image.image}};
}

json to_json(const HookStatus& hook) {
  json out{{"name", hook.name}, {"phase", to_string(hook.phase)}, {"attempts", hook.attempts}};
  put(out, "startTime", hook.start_time);
  put(out, "completionTime", hook.completion_time);
  put(out, "message", hook.message);
  return out;
}

json to_json(const CapturedSetting& captured) {
  return {{"key", captured.key}, {"value", captured.value}, {"setTo", captured.set_to}};
}

json to_json(const OwedUndo& undo) {
  json out{{"hook", undo.hook}, {"timeoutSeconds", undo.timeout.count()}};
  put(out, "sql", undo.sql);
  put(out, "script", undo.script);
  return out;
}

json to_json(const NodeBefore& node) {
  json out{{"component", to_string(node.component)}, {"name", node.name}};
  put(out, "started", node.started);
  put(out, "version", node.version);
  if (!node.alive) out["alive"] = false;
  return out;
}

template <class T>
json array_of(const std::vector<T>& items) {
  json out = json::array();
  for (const auto& item : items) out.push_back(to_json(item));
  return out;
}

json spec_to_json(const PreparationSpec& spec) {
  json out{{"objectRef", {{"kind", spec.object.kind}, {"name", spec.object.name}, {"uid", spec.object.uid}}},
           {"clusterRef", {{"name", spec.cluster}}},
           {"attempt", spec.attempt},
           {"changes", array_of(spec.changes)},
           {"hooks", array_of(spec.hooks)}};
  if (spec.mode != PreparationMode::Run) out["mode"] = to_string(spec.mode);
  json requested{{"username", spec.requested_by.username}, {"requestUID", spec.requested_by.request_uid}};
  if (!spec.requested_by.groups.empty()) requested["groups"] = spec.requested_by.groups;
  out["requestedBy"] = std::move(requested);
  put(out, "supersedes", spec.supersedes);
  put(out, "candidateOf", spec.candidate_of);
  if (!spec.origins.empty()) out["origins"] = array_of(spec.origins);
  for (const auto component : spec.cures) out["cures"].push_back(to_string(component));
  put(out, "retryToken", spec.retry_token);
  if (spec.asked_before) out["askedBefore"] = true;
  if (spec.rollout != LedRollout{}) out["rollout"] = to_json(spec.rollout);
  if (spec.bypass) {
    json bypass{{"target", spec.bypass->target}, {"reason", spec.bypass->reason}};
    put(bypass, "until", spec.bypass->until);
    out["bypass"] = std::move(bypass);
  }
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

HookAction read_action(const json& element, FieldReader& reader) {
  const auto has = [&](const char* key) { return element.is_object() && element.contains(key); };
  if (has("probe")) return ProbeAction{reader.one_of("probe", probe_from, Probe::FrontendsAlive)};
  if (has("query")) {
    auto query = reader.child("query");
    return QueryAction{query.required_text("sql"), query.text("column"),
                       query.one_of("comparison", comparison_from, Comparison::Equal), query.text("value"),
                       query.seconds("pollSeconds", kHookPollDefault)};
  }
  if (has("http")) {
    auto http = reader.child("http");
    auto token = http.child("tokenSecret");
    return HttpAction{http.required_text("url"), http.text("caBundle"), token.text("name"), token.text("key"),
                      http.seconds("pollSeconds", kHookPollDefault)};
  }
  if (has("script")) {
    auto script = reader.child("script");
    return ScriptAction{script.required_text("text"), script.boolean("postUpgrade", false)};
  }
  SqlAction action{reader.required_text("sql"), std::nullopt};
  if (has("setting")) {
    auto setting = reader.child("setting");
    action.setting = ConfigSetting{setting.required_text("key"), setting.required_text("value")};
  }
  return action;
}

std::vector<ComponentImage> component_images(FieldReader& reader, const char* field, std::string& fault) {
  std::vector<ComponentImage> out;
  reader.list(field, [&](const json& element, const std::string& path) {
    FieldReader entry(element, path, fault);
    const auto component = component_from(entry.required_text("component"));
    if (!component) entry.fail("component", "fe, be, cn or warehouse");
    out.push_back({component.value_or(Component::Frontend), entry.required_text("image")});
  });
  return out;
}

PreparationSpec read_spec(FieldReader spec, std::string& fault) {
  PreparationSpec out;
  auto object = spec.child("objectRef");
  out.object = {object.required_text("kind"), object.required_text("name"), object.required_text("uid")};
  out.cluster = spec.child("clusterRef").required_text("name");
  out.attempt = spec.integer("attempt", 1);
  spec.list("changes", [&](const json& element, const std::string& path) {
    FieldReader change(element, path, fault);
    const auto component = component_from(change.required_text("component"));
    if (!component) change.fail("component", "fe, be, cn or warehouse");
    out.changes.push_back(
        {component.value_or(Component::Frontend), change.required_text("from"), change.required_text("to")});
  });
  spec.list("hooks", [&](const json& element, const std::string& path) {
    FieldReader reader(element, path, fault);
    Hook hook;
    hook.name = reader.required_text("name");
    hook.action = read_action(element, reader);
    hook.critical = reader.boolean("critical", true);
    hook.timeout = reader.seconds("timeoutSeconds", kHookTimeoutDefault);
    hook.retries = reader.integer("retries", 0);
    hook.group = reader.text("group");
    hook.run_mode = reader.text("runMode");
    hook.restore = reader.one_of("restore", restore_mode_from, RestoreMode::Captured);
    hook.restore_sql = reader.text("restoreSql");
    out.hooks.push_back(std::move(hook));
  });
  out.mode = spec.one_of("mode", mode_from, PreparationMode::Run);
  auto requested = spec.child("requestedBy");
  out.requested_by.username = requested.text("username");
  out.requested_by.request_uid = requested.text("requestUID");
  requested.list("groups", [&](const json& element, const std::string&) {
    if (element.is_string()) out.requested_by.groups.push_back(element.get<std::string>());
  });
  out.supersedes = spec.text("supersedes");
  out.candidate_of = spec.text("candidateOf");
  out.origins = component_images(spec, "origins", fault);
  spec.list("cures", [&](const json& element, const std::string&) {
    const auto component = element.is_string() ? component_from(element.get<std::string>()) : std::nullopt;
    if (!component) return spec.fail("cures", "fe, be, cn or warehouse");
    out.cures.push_back(*component);
  });
  out.retry_token = spec.text("retryToken");
  out.asked_before = spec.boolean("askedBefore", false);
  if (spec.has("bypass")) {
    auto bypass = spec.child("bypass");
    out.bypass = Bypass{bypass.required_text("target"), bypass.text("reason"), bypass.time("until")};
  }
  return out;
}

PreparationStatus read_status(FieldReader status, std::string& fault) {
  PreparationStatus out;
  out.phase = status.one_of("phase", kPhases, Phase::Pending);
  out.reason = status.text("reason");
  out.message = status.text("message");
  out.stage = status.one_of("stage", kStages, Stage::Preparing);
  out.outcome = status.one_of("outcome", kOutcomes, Outcome::None);
  status.list("hooks", [&](const json& element, const std::string& path) {
    FieldReader hook(element, path, fault);
    out.hooks.push_back({hook.required_text("name"), hook.one_of("phase", kHookPhases, HookPhase::Pending),
                         hook.integer("attempts", 0), hook.time("startTime"), hook.time("completionTime"),
                         hook.text("message")});
  });
  status.list("captured", [&](const json& element, const std::string& path) {
    FieldReader captured(element, path, fault);
    out.captured.push_back({captured.required_text("key"), captured.text("value"), captured.text("setTo")});
  });
  out.settings_leader = status.text("settingsLeader");
  status.list("undo", [&](const json& element, const std::string& path) {
    FieldReader undo(element, path, fault);
    out.undo.push_back({undo.required_text("hook"), undo.text("sql"), undo.text("script"),
                        undo.seconds("timeoutSeconds", kHookTimeoutDefault)});
  });
  out.restore_owed = status.boolean("restoreOwed", false);
  out.debt_taken_over = status.boolean("debtTakenOver", false);
  out.start_time = status.time("startTime");
  out.completion_time = status.time("completionTime");
  out.admitted_time = status.time("admittedTime");
  out.rolled_out_time = status.time("rolledOutTime");
  out.rolled_back_time = status.time("rolledBackTime");
  out.rolled_back_to = component_images(status, "rolledBackTo", fault);
  out.pods_moved = status.boolean("podsMoved", false);
  out.restoring_time = status.time("restoringTime");
  out.restored_time = status.time("restoredTime");
  out.reopened_time = status.time("reopenedTime");
  status.list("nodesBefore", [&](const json& element, const std::string& path) {
    FieldReader node(element, path, fault);
    const auto component = component_from(node.required_text("component"));
    if (!component) node.fail("component", "fe, be, cn or warehouse");
    out.nodes_before.push_back({component.value_or(Component::Frontend), node.required_text("name"),
                                node.text("started"), node.text("version"), node.boolean("alive", true)});
  });
  auto runner = status.child("runner");
  out.runner = {runner.text("identity"), runner.time("renewTime")};
  return out;
}

}  // namespace

std::string_view to_string(Phase phase) { return name_of(kPhases, phase); }
std::string_view to_string(Stage stage) { return name_of(kStages, stage); }
std::string_view to_string(Outcome outcome) { return name_of(kOutcomes, outcome); }
std::string_view to_string(HookPhase phase) { return name_of(kHookPhases, phase); }

std::string preparation_key(std::string_view object_uid, const std::vector<ImageChange>& changes,
                            const std::vector<Hook>& hooks, PreparationMode mode) {
  json identity{{"uid", object_uid}, {"changes", array_of(changes)}, {"hooks", array_of(hooks)}};
  if (mode != PreparationMode::Run) identity["mode"] = to_string(mode);
  // nlohmann objects are sorted by key and dump() writes no space: the same values give the same bytes.
  const std::string canonical = identity.dump(-1, ' ', false, json::error_handler_t::replace);
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(canonical.data()), canonical.size(), digest.data());
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < 5; ++i) {
    out += kDigits[digest[i] >> 4];
    out += kDigits[digest[i] & 0xf];
  }
  return out;
}

std::string preparation_key(const PreparationSpec& spec) {
  return preparation_key(spec.object.uid, spec.changes, spec.hooks, spec.mode);
}

std::string preparation_key(const Preparation& record) {
  if (!record.key.empty()) return record.key;
  constexpr std::string_view kHex = "0123456789abcdef";
  constexpr std::size_t kKeyLength = 10;
  const std::string_view name = record.name;
  const std::string attempt = "-" + std::to_string(record.spec.attempt);
  if (name.size() > kKeyLength + attempt.size() + 1 && name.ends_with(attempt)) {
    const auto key = name.substr(name.size() - attempt.size() - kKeyLength, kKeyLength);
    const bool separated = name[name.size() - attempt.size() - kKeyLength - 1] == '-';
    if (separated && key.find_first_not_of(kHex) == std::string_view::npos) return std::string(key);
  }
  return preparation_key(record.spec);
}

std::string cluster_label(std::string_view cluster) {
  constexpr std::size_t kLabelMax = 63;
  constexpr std::size_t kHashed = 10;
  if (cluster.size() <= kLabelMax) return std::string(cluster);
  // Names end in a letter or digit, and so does the hash.
  return std::string(cluster.substr(0, kLabelMax - kHashed - 1)) + "-" + preparation_key(cluster, {}, {});
}

Preparation without_bodies(Preparation record) {
  record.key = preparation_key(record);
  if (!is_open(record)) record.spec.hooks.clear();
  for (Hook& hook : record.spec.hooks) {
    std::visit([](auto& action) { action = {}; }, hook.action);
    hook.restore_sql.clear();
  }
  record.status.captured.clear();
  record.status.undo.clear();
  record.status.nodes_before.clear();
  return record;
}

std::string preparation_name(std::string_view object_name, std::string_view key, int attempt) {
  constexpr std::size_t kNameMax = 253;  // DNS-1123 subdomain
  const std::string tail = "-" + std::string(key) + "-" + std::to_string(attempt);
  std::string head(object_name.substr(0, kNameMax - tail.size()));
  while (!head.empty() && (head.back() == '.' || head.back() == '-')) head.pop_back();
  return head + tail;
}

std::optional<WallTime> restore_due_since(const Preparation& record) {
  const auto& status = record.status;
  const bool due = status.stage == Stage::Restoring || status.stage == Stage::Closed;
  if (!status.restore_owed || !due) return std::nullopt;
  return status.restoring_time ? status.restoring_time : status.completion_time;
}

std::vector<std::size_t> scripts_left_running(const Preparation& record) {
  std::vector<std::size_t> left;
  const auto& hooks = record.status.hooks;
  if (record.status.stage == Stage::Preparing || record.spec.mode == PreparationMode::Verify) return left;
  for (std::size_t i = 0; i < hooks.size() && i < record.spec.hooks.size(); ++i) {
    const bool script = std::holds_alternative<ScriptAction>(record.spec.hooks[i].action);
    if (script && hooks[i].phase == HookPhase::Running) left.push_back(i);
  }
  return left;
}

bool is_open(const Preparation& record) {
  return record.status.stage != Stage::Closed || record.status.restore_owed || !scripts_left_running(record).empty();
}

bool is_handed_over(const Preparation& record) {
  return record.status.outcome == Outcome::Superseded && record.status.stage == Stage::Closed;
}

void call_off(PreparationStatus& status, WallTime now, const std::string& why) {
  if (status.phase != Phase::Completed) {
    status.phase = Phase::Failed;
    status.reason = "CalledOff";
    status.completion_time = now;
  }
  if (status.outcome == Outcome::None) status.outcome = Outcome::Expired;
  status.stage = Stage::Restoring;
  status.restoring_time = now;
  status.message = why;
}

std::vector<std::string> hooks_in(const PreparationStatus& status, HookPhase phase) {
  std::vector<std::string> names;
  for (const auto& hook : status.hooks) {
    if (hook.phase == phase) names.push_back(hook.name);
  }
  return names;
}

WallTime next_attempt_time(const Preparation& failed, const FailureBackoff& backoff) {
  auto delay = backoff.base;
  for (int i = 1; i < failed.spec.attempt && delay < backoff.max; ++i) delay *= 2;
  const auto ended = failed.status.completion_time.value_or(WallTime{});
  return ended + std::min(delay, backoff.max);
}

json status_to_json(const Preparation& record) {
  const auto& status = record.status;
  const auto completed = hooks_in(status, HookPhase::Completed);
  json out{{"phase", to_string(status.phase)},
           {"stage", to_string(status.stage)},
           {"hooks", array_of(status.hooks)},
           {"completedHooks", completed},
           {"failedHooks", hooks_in(status, HookPhase::Failed)},
           {"captured", array_of(status.captured)},
           {"undo", array_of(status.undo)},
           {"restoreOwed", status.restore_owed},
           {"debtTakenOver", status.debt_taken_over},
           {"progress", std::to_string(completed.size() + hooks_in(status, HookPhase::Skipped).size()) + "/" +
                            std::to_string(record.spec.hooks.size())},
           {"from", images_column(record.spec.changes, &ImageChange::from)},
           {"to", images_column(record.spec.changes, &ImageChange::to)},
           {"conditions", to_json(conditions_of(record))},
           {"observedGeneration", kObservedGeneration}};
  put(out, "reason", status.reason);
  put(out, "message", status.message);
  put(out, "settingsLeader", status.settings_leader);
  put(out, "outcome", to_string(status.outcome));
  put(out, "blocking", blocking_hook(status));
  put(out, "startTime", status.start_time);
  put(out, "completionTime", status.completion_time);
  put(out, "admittedTime", status.admitted_time);
  put(out, "rolledOutTime", status.rolled_out_time);
  put(out, "rolledBackTime", status.rolled_back_time);
  if (!status.rolled_back_to.empty()) out["rolledBackTo"] = array_of(status.rolled_back_to);
  if (status.pods_moved) out["podsMoved"] = true;
  put(out, "restoringTime", status.restoring_time);
  put(out, "restoredTime", status.restored_time);
  put(out, "reopenedTime", status.reopened_time);
  if (!status.nodes_before.empty()) out["nodesBefore"] = array_of(status.nodes_before);
  write_progress(status.rollout, out);
  if (!status.runner.identity.empty()) {
    json runner{{"identity", status.runner.identity}};
    put(runner, "renewTime", status.runner.renew_time);
    out["runner"] = std::move(runner);
  }
  return out;
}

json to_json(const Preparation& record) {
  json metadata{{"name", record.name}, {"namespace", record.name_space}};
  put(metadata, "uid", record.uid);
  put(metadata, "resourceVersion", record.resource_version);
  put(metadata, "creationTimestamp", record.creation_time);
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
  auto metadata = reader.child("metadata");
  record.name = metadata.required_text("name");
  record.name_space = metadata.required_text("namespace");
  record.uid = metadata.text("uid");
  record.resource_version = metadata.text("resourceVersion");
  record.creation_time = metadata.time("creationTimestamp");
  record.deleting = !metadata.text("deletionTimestamp").empty();
  metadata.list("finalizers", [&](const json& element, const std::string&) {
    record.held = record.held || (element.is_string() && element.get_ref<const std::string&>() == kRestoreFinalizer);
  });
  record.spec = read_spec(reader.child("spec"), fault);
  record.status = read_status(reader.child("status"), fault);
  record.spec.rollout = led_rollout_from(member(member(object, "spec"), "rollout"), fault);
  record.status.rollout = progress_from(member(object, "status"), fault);
  if (!fault.empty()) return Error{ErrorCode::InvalidInput, fault};
  return record;
}

}  // namespace gate
