#include "server/admission/admission_service.hpp"

#include <spdlog/logger.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "policy/decision/bypass.hpp"
#include "policy/review/status_preservation.hpp"
#include "policy/text/json_member.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// One exchange with the API server inside an admission: the webhook's own 10 s are nearly used up after it.
constexpr std::chrono::seconds kStoreTimeout{3};
/// All ConfigMaps of one object together. Below the configuration webhook's timeoutSeconds (5).
constexpr std::chrono::seconds kConfigMapsTimeout{3};
constexpr std::string_view kConfigMapKind = "ConfigMap";
/// For reading a finished record's settings back, beyond the admission wait: a few milliseconds per FE when all is
/// well.
constexpr std::chrono::seconds kReadBackTimeout{2};
/// For reading the versions that run, beyond the admission wait: three statements to an FE that has just answered.
constexpr std::chrono::seconds kVersionsTimeout{2};
/// Below the timeoutSeconds of the webhook on StatefulSets (5).
constexpr std::chrono::seconds kStatefulSetTimeout{3};
/// Of the retry annotation; longer values are compared by their beginning.
constexpr std::size_t kRetryTokenMax = 128;
/// Glancers that are kept: as many as there are threads that answer at once.
constexpr std::size_t kGlancersKept = 4;
/// A larger review takes longer than other connections should wait: a millisecond and more.
constexpr std::size_t kQuickBytesMax = 512u << 10;
constexpr std::string_view kNoImageChange = "allowed-no-image-change";
/// Start, wait, read back, reopen, wait again: more rounds than that means that others keep changing the record.
constexpr int kRoundsMax = 8;

std::string annotation_of(const json& object, std::string_view key) {
  return text_member(member(member(object, "metadata"), "annotations"), key);
}

std::string decision_of(const AdmissionAnswer& answer) {
  for (const auto& annotation : answer.audit) {
    if (annotation.key == "decision") return annotation.value;
  }
  return answer.allowed ? "allowed" : "denied";
}

AdmissionAnswer internal_error(std::string_view path, std::string_view uid) {
  // Losing the mirror of a status is a smaller harm than stopping the operator's own writes.
  auto answer = path == AdmissionService::kStatusPath
                    ? allow()
                    : deny(kDenialCode, "InternalError",
                           "internal error of the upgrade gate while it handled request " + clean_text(uid) +
                               "; its log has the details. Nothing of this request was applied.");
  answer.audit.push_back({"decision", "error"});
  return answer;
}

}  // namespace

AdmissionService::AdmissionService(PreparationStore& store, ClusterAccess& clusters, PreparationController& controller,
                                   OutcomeWaiters& waiters, const Clock& clock, spdlog::logger& log,
                                   AdmissionServiceOptions options, std::function<void(const ReviewOutcome&)> on_answer)
    : store_(store),
      clusters_(clusters),
      controller_(controller),
      waiters_(waiters),
      clock_(clock),
      log_(log),
      options_(std::move(options)),
      stateful_sets_(store_, clusters_, log_, {}),
      on_answer_(std::move(on_answer)) {}

void AdmissionService::set_own_username(std::string username) {
  const std::lock_guard lock(mutex_);
  own_username_ = std::move(username);
}

ReviewReply AdmissionService::review(std::string_view path, std::string_view body) {
  const auto began = clock_.steady_now();
  const auto finish = [&](std::string decision) {
    on_answer_({path, std::move(decision), clock_.steady_now() - began});
  };
  std::string api_version;
  std::string uid;
  try {
    if (path == kGatePath && body.size() > kQuickBytesMax) {
      // Its buffers are up to four times as large as the body: those of one at a time.
      const std::lock_guard lock(large_mutex_);
      if (auto reply = glance(large_glancer_, path, body)) return *std::move(reply);
    }
    auto request = parse_review(body);
    if (!request) {
      uid = salvage_uid(body);
      log_.warn("review refused path={} uid={} error={}", path, clean_text(uid), request.error().message);
      finish("malformed");
      const int code = request.error().peer_code == 0 ? 400 : request.error().peer_code;
      // Without a UID no answer can be well formed: plain HTTP says what is wrong.
      if (uid.empty()) return {code, "text/plain; charset=utf-8", clean_text(request.error().message) + "\n"};
      return {200, "application/json", render("", uid, deny(code, "BadRequest", clean_text(request.error().message)))};
    }
    api_version = request->api_version;
    uid = request->uid;
    const auto answered = answer(path, *request);
    const auto decision = decision_of(answered);
    if (path == kGatePath) {
      log_.info("decision uid={} object={}/{} user={} dry_run={} decision={} reason={}", uid, request->name_space,
                request->name, clean_text(request->user.username), request->dry_run, decision, answered.reason);
    }
    finish(decision);
    return {200, "application/json", render(api_version, uid, answered)};
  } catch (const std::exception& bug) {
    log_.error("review failed path={} uid={} error={}", path, clean_text(uid), bug.what());
  } catch (...) {
    log_.error("review failed path={} uid={}", path, clean_text(uid));
  }
  finish("error");
  return {200, "application/json", render(api_version, uid, internal_error(path, uid))};
}

std::optional<ReviewReply> AdmissionService::review_at_a_glance(std::string_view path, std::string_view body) {
  if (path != kGatePath || body.size() > kQuickBytesMax) return std::nullopt;
  std::unique_ptr<ReviewGlancer> glancer;
  {
    const std::lock_guard lock(glancers_mutex_);
    if (!glancers_.empty()) {
      glancer = std::move(glancers_.back());
      glancers_.pop_back();
    }
  }
  if (!glancer) glancer = std::make_unique<ReviewGlancer>();
  auto reply = glance(*glancer, path, body);
  const std::lock_guard lock(glancers_mutex_);
  if (glancers_.size() < kGlancersKept) glancers_.push_back(std::move(glancer));
  return reply;
}

std::optional<ReviewReply> AdmissionService::glance(ReviewGlancer& glancer, std::string_view path,
                                                    std::string_view body) {
  const auto began = clock_.steady_now();
  const auto seen = glancer.glance(body);
  if (!seen || !seen->certainly_no_image_change) return std::nullopt;
  auto allowed = allow();
  allowed.audit.push_back({"decision", std::string(kNoImageChange)});
  on_answer_({path, std::string(kNoImageChange), clock_.steady_now() - began});
  return ReviewReply{200, "application/json", render(seen->api_version, seen->uid, allowed)};
}

AdmissionAnswer AdmissionService::answer(std::string_view path, const AdmissionRequest& request) {
  if (path == kConfigurationPath) return check_configuration(request);
  if (path == StatefulSetHandler::kPath) {
    return stateful_sets_.answer(request, clock_.steady_now() + kStatefulSetTimeout);
  }
  if (path == kStatusPath) {
    std::string own;
    {
      const std::lock_guard lock(mutex_);
      own = own_username_;
    }
    return preserve_status(request, own);
  }
  return gate(request);
}

AdmissionAnswer AdmissionService::check_configuration(const AdmissionRequest& request) const {
  if (request.operation != Operation::Create && request.operation != Operation::Update) return allow();
  if (!request.subresource.empty() || being_deleted(request.object)) return allow();
  const auto judge = [&](const json& object) {
    return request.kind == kConfigMapKind ? validate_config_map(text_members(member(object, "data")), options_.rules)
                                          : hooks_of(object, request.name_space, {}, {});
  };
  const auto configuration = judge(request.object);
  auto answer = allow();
  if (!configuration.faults.empty()) {
    AdmissionFacts facts;
    facts.kind = request.kind;
    facts.name_space = request.name_space;
    facts.name = request.name;
    facts.configuration = configuration;
    auto refusal = hooks_invalid(facts);
    // What was there before must not stop a change of something else.
    const bool as_before =
        request.operation == Operation::Update && judge(request.old_object).faults == configuration.faults;
    if (!as_before) return refusal;
    answer.warnings.push_back(refusal.message);
  }
  answer.warnings.insert(answer.warnings.end(), configuration.warnings.begin(), configuration.warnings.end());
  for (const auto& cause : configuration.unread)
    answer.warnings.push_back(clean_text("not judged: " + cause, kWarningMax));
  return answer;
}

/// Reads the ConfigMaps that the object names, as they are now.
HookConfiguration AdmissionService::hooks_of(const json& object, const std::string& name_space,
                                             std::vector<std::string> default_hooks,
                                             const std::vector<ImageChange>& changes) const {
  HookSources sources{object, std::move(default_hooks), changes, {}, options_.rules};
  const Deadline deadline = clock_.steady_now() + kConfigMapsTimeout;
  for (const std::string& name : referenced_config_maps(object, changes)) {
    auto data = clusters_.config_map(name_space, name, deadline);
    if (data) {
      sources.config_maps[name].data = *std::move(data);
    } else if (data.error().code != ErrorCode::NotFound) {
      sources.config_maps[name].error = data.error().message;
    }
  }
  return resolve_hooks(sources);
}

AdmissionAnswer AdmissionService::gate(const AdmissionRequest& request) {
  if (request.operation != Operation::Update || !request.subresource.empty()) return allow();
  AdmissionFacts facts;
  facts.changes = image_changes(request.kind, request.old_object, request.object);
  if (facts.changes.empty()) return decide(facts).answer;
  facts.configuration = hooks_of(request.object, request.name_space, options_.default_hooks, facts.changes);
  if (!facts.configuration.configured) return decide(facts).answer;

  facts.dry_run = request.dry_run;
  facts.kind = request.kind;
  facts.name_space = request.name_space;
  facts.name = request.name;
  facts.object_uid = text_member(member(request.object, "metadata"), "uid");
  facts.cluster =
      request.kind == kWarehouseKind ? text_member(member(request.object, "spec"), "starRocksCluster") : request.name;
  facts.other_changed_fields = request.other_changed_fields;
  facts.backoff = options_.failure_backoff;
  facts.unchanged = unchanged_images(request.kind, request.object, facts.changes);
  facts.version_policy = options_.version_policy;
  facts.username = request.user.username;
  facts.bypass = annotation_of(request.object, annotation::kBypass);
  facts.retry_token = clean_text(annotation_of(request.object, annotation::kRetry), kRetryTokenMax);
  facts.asked_before =
      hooks_of(request.old_object, request.name_space, options_.default_hooks, facts.changes).configured;

  const StatusMirror::AnsweringScope answering(controller_.status_mirror(), facts.name_space + "/" + facts.cluster);
  const Deadline deadline = clock_.steady_now() + options_.admission_wait;
  gather_records(facts, deadline);
  for (int round = 0; round < kRoundsMax; ++round) {
    facts.now = clock_.wall_now();
    const auto decision = decide(facts);
    if (decision.effect == Effect::None) return decision.answer;
    if (decision.effect == Effect::RecordBypass) return record_bypass(decision, request, facts);
    carry_out(decision, request, facts, deadline);
  }
  // Others keep moving the record; the next request finds it calmer.
  facts.waited = true;
  facts.read_back_possible = false;
  facts.store_reachable = false;
  facts.store_error = "the record keeps changing";
  return decide(facts).answer;
}

void AdmissionService::gather_records(AdmissionFacts& facts, Deadline deadline) const {
  auto records =
      store_.list_of_cluster(facts.name_space, facts.cluster, std::max(deadline, clock_.steady_now() + kStoreTimeout));
  facts.store_reachable = records.ok();
  if (records) {
    facts.records = std::move(records).value();
  } else {
    facts.store_error = records.error().message;
  }
}

void AdmissionService::carry_out(const Decision& decision, const AdmissionRequest& request, AdmissionFacts& facts,
                                 Deadline deadline) {
  const auto subject = [&]() -> const Preparation* {
    for (const auto& record : facts.records) {
      if (record.name == decision.subject) return &record;
    }
    return nullptr;
  };
  switch (decision.effect) {
    case Effect::None:
    case Effect::RecordBypass:
      return;
    case Effect::AskPermission: {
      const auto may = clusters_.may(request.user, kBypassVerb, facts.name_space, clock_.steady_now() + kStoreTimeout);
      facts.may_bypass = !may ? Permission::Unknown : (*may ? Permission::Granted : Permission::Refused);
      if (!may) log_.warn("right to bypass not known uid={} error={}", request.uid, may.error().message);
      return;
    }
    case Effect::Start:
      start(decision, request, facts);
      return;
    case Effect::Reopen:
      reopen(decision.subject, facts);
      return;
    case Effect::ReadBack: {
      const auto* record = subject();
      facts.read_back = record == nullptr ? ReadBack::NotDone
                                          : controller_.read_back(*record, clock_.steady_now() + kReadBackTimeout);
      facts.read_back_possible = false;
      return;
    }
    case Effect::ReadVersions:
      facts.running =
          controller_.running_nodes(facts.name_space, facts.cluster, clock_.steady_now() + kVersionsTimeout);
      facts.running_read = true;
      return;
    case Effect::Wait: {
      waiters_.wait(facts.name_space, decision.subject, deadline);
      facts.waited = true;
      gather_records(facts, deadline);
      const auto* record = subject();
      // What has completed while this request waited was read back from every FE a moment ago.
      if (record != nullptr && record->status.phase == Phase::Completed) facts.read_back = ReadBack::Holds;
      return;
    }
  }
}

Result<Preparation> AdmissionService::create(const Decision& decision, const AdmissionRequest& request,
                                             const AdmissionFacts& facts) {
  Preparation record;
  record.name = decision.start_name;
  record.name_space = facts.name_space;
  record.spec = *decision.start;
  record.spec.requested_by = {request.user.username, request.user.groups, request.uid};
  auto created = store_.create(record, clock_.steady_now() + kStoreTimeout);
  if (created) controller_.created_here(*created);
  return created;
}

void AdmissionService::start(const Decision& decision, const AdmissionRequest& request, AdmissionFacts& facts) {
  const auto created = create(decision, request, facts);
  if (!created && created.error().code != ErrorCode::AlreadyExists) {
    facts.store_reachable = false;
    facts.store_error = created.error().message;
    return;
  }
  if (created) log_.info("preparation started name={}/{} uid={}", created->name_space, created->name, request.uid);
  gather_records(facts, clock_.steady_now());
}

AdmissionAnswer AdmissionService::record_bypass(const Decision& decision, const AdmissionRequest& request,
                                                const AdmissionFacts& facts) {
  auto answer = decision.answer;
  // One of that name is that of the same request, or of one a moment ago: the log tells of both.
  const auto created = create(decision, request, facts);
  if (created || created.error().code == ErrorCode::AlreadyExists) {
    answer.audit.push_back({"preparation", decision.start_name});
  } else {
    answer.warnings.push_back("upgrade gate: this could not be recorded; the audit log and the gate's log have it");
  }
  log_.warn("image change let through unprepared uid={} object={}/{} user={} reason={} recorded={}", request.uid,
            request.name_space, request.name, clean_text(request.user.username), decision.start->bypass->reason,
            created ? decision.start_name : created.error().message);
  return answer;
}

void AdmissionService::reopen(const std::string& name, AdmissionFacts& facts) {
  const bool unreachable = facts.read_back == ReadBack::Unreachable;
  facts.read_back = ReadBack::NotDone;
  for (auto& record : facts.records) {
    if (record.name != name) continue;
    auto& status = record.status;
    status.phase = Phase::Pending;
    status.stage = Stage::Preparing;
    status.reason = unreachable ? "FrontendUnreachable" : "SettingsDrifted";
    status.message = unreachable ? "the FE could not be asked whether the preparation still holds"
                                 : "a setting was changed after the preparation; it is prepared again";
    status.completion_time.reset();
    status.reopened_time = clock_.wall_now();
    for (auto& hook : status.hooks) hook.phase = HookPhase::Pending;
    const auto written = store_.update_status(record, clock_.steady_now() + kStoreTimeout);
    if (!written && written.error().code != ErrorCode::Conflict) {
      facts.store_reachable = false;
      facts.store_error = written.error().message;
      return;
    }
    break;
  }
  gather_records(facts, clock_.steady_now());
}

}  // namespace gate
