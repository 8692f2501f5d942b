#include "server/admission/image_change_handler.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "policy/decision/bypass.hpp"
#include "policy/hooks/either_configuration.hpp"
#include "policy/json/json_member.hpp"
#include "policy/record/history.hpp"
#include "policy/review/stored_object.hpp"
#include "policy/text/text.hpp"
#include "server/admission/final_error.hpp"
#include "server/admission/stateful_set_handler.hpp"
#include "server/base/log.hpp"

namespace gate {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

/// One exchange with the API server inside an admission; a slow one leaves time for an answer that says so.
constexpr milliseconds kStoreTimeout{3000};
/// All ConfigMaps of one object together.
constexpr milliseconds kConfigMapsTimeout{3000};
/// For reading a finished record's settings back: a few milliseconds per FE when all is well.
constexpr milliseconds kReadBackTimeout{2000};
/// For reading the versions that run: three statements to an FE that has just answered.
constexpr milliseconds kVersionsTimeout{2000};
/// What was read of the cluster tells where its FE's login is for as long as a read of its own might take elsewhere.
constexpr milliseconds kObjectCounts{10000};
/// Left of the review after the wait for hooks: the record is read once more, and the answer sent.
constexpr milliseconds kAfterWait{1000};
/// Of the retry annotation; longer values are compared by their beginning.
constexpr std::size_t kRetryTokenMax = 128;
/// Start, wait, read back, reopen, wait again, each confirmed: more rounds than that means that others keep changing
/// the record.
constexpr int kRoundsMax = 12;

/// What the record's schema takes of who asked: a decoration, cut where it does not fit.
constexpr std::size_t kGroupsMax = 256;
constexpr std::size_t kUserTextMax = 1024;
constexpr std::size_t kRequestUidMax = 128;

std::string annotation_of(const json& object, std::string_view key) {
  return text_member(member(member(object, "metadata"), "annotations"), key);
}

RequestedBy requested_by(const AdmissionRequest& request) {
  RequestedBy out{clean_text(request.user.username, kUserTextMax), {}, clean_text(request.uid, kRequestUidMax)};
  const auto& groups = request.user.groups;
  const auto kept = std::min(groups.size(), kGroupsMax);
  for (std::size_t i = 0; i < kept; ++i) out.groups.push_back(clean_text(groups[i], kUserTextMax));
  out.traceparent = request.traceparent;
  return out;
}

/// What the warehouse says is its cluster becomes part of names and questions.
bool is_cluster_name(std::string_view name) {
  constexpr std::size_t kNameMax = 253;
  return !name.empty() && name.size() <= kNameMax && name.front() != '.' && name.front() != '-' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string_view::npos;
}

}  // namespace

HookConfiguration HookConfigurationReader::read(const json& object, std::vector<std::string> default_hooks,
                                                const LedRollout& rollout_defaults,
                                                const std::vector<ImageChange>& changes) {
  for (const std::string& name : referenced_config_maps(object, changes)) {
    if (config_maps_.contains(name) || missing_.contains(name)) continue;
    auto data = peers_.clusters.config_map(name_space_, name, deadline_);
    if (data) {
      config_maps_[name].data = *std::move(data);
    } else if (data.error().code == ErrorCode::NotFound) {
      missing_.insert(name);
    } else {
      config_maps_[name].error = data.error().message;
      config_maps_[name].lasts = is_final(data.error());
    }
  }
  HookSources sources{object, std::move(default_hooks), changes, config_maps_, rules_};
  sources.rollout_defaults = rollout_defaults;
  sources.dry_run = dry_run_;
  return resolve_hooks(sources);
}

ImageChangeHandler::ImageChangeHandler(const AdmissionPeers& peers, const AdmissionServiceOptions& options,
                                       const AdmissionRequest& request, Deadline deadline)
    : peers_(peers),
      options_(options),
      request_(request),
      deadline_(deadline),
      wait_until_(std::min(peers.clock.steady_now() + options.admission_wait, deadline - kAfterWait)) {}

Deadline ImageChangeHandler::within(milliseconds share) const {
  return std::min(deadline_, peers_.clock.steady_now() + share);
}

AdmissionAnswer ImageChangeHandler::handle() {
  facts_.changes = image_changes(request_.kind, request_.old_object, request_.object);
  if (facts_.changes.empty() || !gather_configuration()) return decide(facts_).answer;
  gather_facts();
  StatusMirror::AnsweringScope answering(peers_.controller.status_mirror(), facts_.name_space + "/" + facts_.cluster);
  gather_records();
  auto answer = decide_in_rounds();
  if (answer.allowed && !facts_.dry_run) answering.admitted();
  return answer;
}

/// False: neither version of the object asks for anything.
bool ImageChangeHandler::gather_configuration() {
  HookConfigurationReader reader(peers_, options_.rules, request_.name_space, within(kConfigMapsTimeout),
                                 request_.dry_run);
  const auto hooks_of = [&](const json& object) {
    return reader.read(object, options_.default_hooks, options_.rollout_defaults, facts_.changes);
  };
  auto after = hooks_of(request_.object);
  auto before = hooks_of(request_.old_object);
  if (before.configured || after.configured) {
    read_stored();
    // What is stored counts, whatever was sent as the old object.
    if (!stored_.is_null() && stored_ != request_.old_object) before = hooks_of(stored_);
  }
  facts_.asked_before = before.configured;
  facts_.configuration = before_or_after(std::move(before), std::move(after));
  require_leading(facts_.configuration, peers_.clusters, request_.name_space, request_.dry_run, within(kStoreTimeout));
  return facts_.configuration.configured;
}

/// A dry run has no effects, so that it needs no proof.
void ImageChangeHandler::read_stored() {
  if (!options_.compare_with_stored || request_.dry_run) return;
  const ObjectRef object{request_.kind, request_.name, text_member(member(request_.object, "metadata"), "uid")};
  stored_counts_until_ = peers_.clock.steady_now() + kObjectCounts;
  auto stored = peers_.clusters.get_object(request_.name_space, object, within(kStoreTimeout));
  if (stored) {
    stored_ = std::move(stored).value();
    facts_.stored_difference = difference_from_stored(request_, stored_);
  } else if (stored.error().code == ErrorCode::NotFound) {
    facts_.stored_difference = "there is no such object";
  } else {
    note_store(stored.error());
  }
}

void ImageChangeHandler::note_store(const Error& error) {
  facts_.store_reachable = false;
  facts_.store_error = error.message;
  facts_.store_refused = is_final(error);
}

void ImageChangeHandler::gather_facts() {
  facts_.dry_run = request_.dry_run;
  facts_.kind = request_.kind;
  facts_.name_space = request_.name_space;
  facts_.name = request_.name;
  facts_.object_uid = text_member(member(request_.object, "metadata"), "uid");
  facts_.cluster = request_.name;
  if (request_.kind == kWarehouseKind) {
    // The FE that it runs on now is the one to prepare.
    facts_.cluster = text_member(member(stored_.is_null() ? request_.old_object : stored_, "spec"), "starRocksCluster");
    if (!is_cluster_name(facts_.cluster)) {
      facts_.configuration.faults.push_back(
          fault_of("spec.starRocksCluster", facts_.cluster, "the name of a StarRocksCluster in the same namespace"));
    }
  }
  facts_.other_changed_fields = request_.other_changed_fields;
  facts_.backoff = options_.failure_backoff;
  facts_.unchanged = unchanged_images(request_.kind, request_.object, facts_.changes);
  facts_.version_policy = options_.version_policy;
  facts_.username = request_.user.username;
  facts_.bypass = annotation_of(request_.object, annotation::kBypass);
  facts_.bypass_taken_away = facts_.bypass.empty() && !annotation_of(request_.old_object, annotation::kBypass).empty();
  // GitOps controllers drop what Git does not have: a token that is stored asks, too.
  auto token = annotation_of(request_.object, annotation::kRetry);
  if (token.empty()) token = annotation_of(request_.old_object, annotation::kRetry);
  facts_.retry_token = clean_text(token, kRetryTokenMax);
}

AdmissionAnswer ImageChangeHandler::decide_in_rounds() {
  for (int round = 0; round < kRoundsMax; ++round) {
    facts_.now = peers_.clock.wall_now();
    const auto decision = decide(facts_, left_);
    if (rests_on_memory(decision)) {
      confirm(decision);
      continue;
    }
    if (decision.effect == Effect::None) {
      if (decision.answer.allowed) note_what_is_replaced();
      return decision.answer;
    }
    if (decision.effect == Effect::RecordBypass) return record_bypass(decision);
    carry_out(decision);
  }
  // Others keep moving the record; the next request finds it calmer.
  note_store({ErrorCode::Unavailable, "the record keeps changing"});
  return decide(facts_, EffectsLeft::none()).answer;
}

void ImageChangeHandler::note_what_is_replaced() {
  if (facts_.dry_run || !facts_.store_reachable || !facts_.stored_difference.empty()) return;
  auto present = facts_.unchanged;
  for (const auto& change : facts_.changes) present.push_back({change.component, change.from});
  for (const auto& known : facts_.records) {
    if (known.spec.object.uid != facts_.object_uid || known.status.stage != Stage::Prepared) continue;
    if (!moves_pods(known, present)) continue;
    if (auto noted = note_admission(known.name, present); !noted) {
      log_info(peers_.log, "admission not recorded",
               {{"uid", request_.uid}, {"preparation", known.name}, {"error", noted.error().message}});
    }
  }
}

Status ImageChangeHandler::note_admission(const std::string& name, const std::vector<ComponentImage>& present) {
  for (int round = 0;; ++round) {
    auto record = peers_.store.get(facts_.name_space, name, within(kStoreTimeout));
    if (!record) return record.error();
    if (record->status.stage != Stage::Prepared || !moves_pods(*record, present))
      return Ok{};  // its runner was quicker
    record->status.stage = Stage::RollingOut;
    record->status.admitted_time = facts_.now;
    const auto written = peers_.store.update_status(*record, within(kStoreTimeout));
    if (written) return Ok{};
    // Its runner wrote something else: the pods move all the same.
    if (written.error().code != ErrorCode::Conflict || round == kRoundsMax) return written.error();
  }
}

void ImageChangeHandler::gather_records() {
  // What could not be read a moment ago makes the records no better known.
  if (!facts_.store_reachable && facts_.records.empty()) return;
  take(peers_.store.known_of_cluster(facts_.name_space, facts_.cluster, within(kStoreTimeout)));
  confirmed_.clear();
  all_confirmed_ = false;
}

void ImageChangeHandler::take(Result<std::vector<Preparation>> records) {
  facts_.store_reachable = records.ok();
  if (records) {
    facts_.records = std::move(records).value();
  } else {
    note_store(records.error());
  }
}

/// Whether an effect, or an admission, would follow from a record that was not read since this request came.
bool ImageChangeHandler::rests_on_memory(const Decision& decision) const {
  if (facts_.dry_run || all_confirmed_ || !facts_.store_reachable) return false;
  switch (decision.effect) {
    case Effect::Start:
      return true;
    case Effect::None:
    case Effect::RecordBypass:
      if (!decision.answer.allowed) return false;
      break;
    case Effect::ReadBack:
    case Effect::Reopen:
      break;
    case Effect::ReadVersions:
    case Effect::Wait:
    case Effect::AskPermission:
      return false;
  }
  return record_of(decision.subject) != nullptr && !confirmed_.contains(decision.subject);
}

/// Reads what the decision is about, whole; a new record is begun against all others of the cluster.
void ImageChangeHandler::confirm(const Decision& decision) {
  if (decision.effect == Effect::Start) {
    take(peers_.store.list_of_cluster(facts_.name_space, facts_.cluster, within(kStoreTimeout)));
    all_confirmed_ = facts_.store_reachable;
    return;
  }
  const auto known = std::find_if(facts_.records.begin(), facts_.records.end(),
                                  [&](const Preparation& record) { return record.name == decision.subject; });
  auto record = peers_.store.get(facts_.name_space, decision.subject, within(kStoreTimeout));
  if (record) {
    *known = std::move(record).value();
    confirmed_.insert(decision.subject);
  } else if (record.error().code == ErrorCode::NotFound) {
    facts_.records.erase(known);
  } else {
    note_store(record.error());
  }
}

const Preparation* ImageChangeHandler::record_of(const std::string& name) const {
  for (const auto& record : facts_.records) {
    if (record.name == name) return &record;
  }
  return nullptr;
}

bool ImageChangeHandler::knows_cluster() const {
  return request_.kind == kClusterKind && !stored_.is_null() && peers_.clock.steady_now() < stored_counts_until_;
}

std::shared_ptr<FrontendInquiry> ImageChangeHandler::inquiry() {
  if (!inquiry_) {
    inquiry_ = std::make_shared<FrontendInquiry>();
    // What a warehouse stores tells nothing of its cluster.
    if (knows_cluster()) inquiry_->object = stored_;
    inquiry_->wants_versions = options_.version_policy != VersionPolicy::Off;
  }
  return inquiry_;
}

void ImageChangeHandler::carry_out(const Decision& decision) {
  // The hooks' own login is next.
  if (decision.effect == Effect::Start || decision.effect == Effect::Reopen || decision.effect == Effect::Wait) {
    inquiry_.reset();
  }
  switch (decision.effect) {
    case Effect::None:
    case Effect::RecordBypass:
      return;
    case Effect::AskPermission:
      ask_permission();
      return;
    case Effect::Start:
      start(decision);
      return;
    case Effect::Reopen:
      reopen(decision.subject);
      return;
    case Effect::ReadBack: {
      const auto* record = record_of(decision.subject);
      facts_.read_back = record == nullptr ? ReadBack::NotDone
                                           : peers_.controller.read_back(*record, within(kReadBackTimeout), inquiry());
      left_.read_back = false;
      if (inquiry_ && inquiry_->running && left_.read_versions) {
        facts_.running = *inquiry_->running;
        left_.read_versions = false;
      }
      return;
    }
    case Effect::ReadVersions:
      facts_.running =
          peers_.controller.running_nodes(facts_.name_space, facts_.cluster, within(kVersionsTimeout), inquiry());
      left_.read_versions = false;
      return;
    case Effect::Wait:
      wait_for(decision.subject);
      return;
  }
}

void ImageChangeHandler::ask_permission() {
  const auto authorized = peers_.clusters.may(request_.user, kBypassVerb, facts_.name_space, within(kStoreTimeout));
  facts_.may_bypass = !authorized ? Permission::Unknown : (*authorized ? Permission::Granted : Permission::Refused);
  if (authorized) return;
  log_warning(peers_.log, "permission check failed",
              {{"uid", request_.uid}, {"user", request_.user.username}, {"error", authorized.error().message}});
}

void ImageChangeHandler::wait_for(const std::string& name) {
  peers_.waiters.wait(facts_.name_space, name, wait_until_, name == created_ ? facts_.cluster : std::string{});
  left_.wait = false;
  gather_records();
  const auto* record = record_of(name);
  // What has completed while this request waited was read back from every FE a moment ago.
  if (record != nullptr && record->status.phase == Phase::Completed) facts_.read_back = ReadBack::Holds;
}

Result<Preparation> ImageChangeHandler::create(const Decision& decision) {
  Preparation record;
  record.name = decision.start_name;
  record.name_space = facts_.name_space;
  record.spec = *decision.start;
  record.spec.requested_by = requested_by(request_);
  auto created = peers_.store.create(record, within(kStoreTimeout));
  if (!created) return created;
  created_ = created->name;
  ObjectRead object;
  if (knows_cluster()) object = {std::make_shared<const json>(stored_), stored_counts_until_};
  peers_.controller.created_here(*created, object);
  return created;
}

void ImageChangeHandler::start(const Decision& decision) {
  const auto created = create(decision);
  if (!created && created.error().code != ErrorCode::AlreadyExists) {
    log_warning(peers_.log, "preparation not started",
                {{"uid", request_.uid},
                 {"preparation", facts_.name_space + "/" + decision.start_name},
                 {"error", created.error().message}});
    if (is_final(created.error())) {
      facts_.record_refusal = created.error().message;
    } else {
      note_store(created.error());
    }
    return;
  }
  if (created) {
    log_info(peers_.log, "preparation started",
             {{"preparation", created->name_space + "/" + created->name}, {"uid", request_.uid}});
  }
  gather_records();
}

AdmissionAnswer ImageChangeHandler::record_bypass(const Decision& decision) {
  auto answer = decision.answer;
  const auto created = create(decision);
  // One of that name that is no bypass is an attempt that another request began a moment ago.
  const auto same_name = created || created.error().code != ErrorCode::AlreadyExists
                             ? created
                             : peers_.store.get(facts_.name_space, decision.start_name, within(kStoreTimeout));
  const bool recorded = same_name && same_name->spec.bypass.has_value();
  if (recorded) {
    answer.audit.push_back({"preparation", decision.start_name});
  } else {
    answer.warnings.push_back("upgrade gate: this could not be recorded; the audit log and the gate's log have it");
  }
  log_warning(peers_.log, "image change let through unprepared",
              {{"uid", request_.uid},
               {"object", request_.name_space + "/" + request_.name},
               {"user", request_.user.username},
               {"reason", decision.start->bypass->reason},
               {"preparation", recorded ? decision.start_name : ""},
               {"error", recorded || created ? "" : created.error().message}});
  return answer;
}

void ImageChangeHandler::reopen(const std::string& name) {
  const bool unreachable = facts_.read_back == ReadBack::Unreachable;
  facts_.read_back = ReadBack::NotDone;
  for (auto& record : facts_.records) {
    if (record.name != name) continue;
    auto& status = record.status;
    status.phase = Phase::Pending;
    status.stage = Stage::Preparing;
    status.reason = unreachable ? "FrontendUnreachable" : "SettingsDrifted";
    status.message = unreachable ? "the FE could not be asked whether the preparation still holds"
                                 : "a setting was changed after the preparation; it is prepared again";
    status.completion_time.reset();
    status.reopened_time = peers_.clock.wall_now();
    for (auto& hook : status.hooks) hook.phase = HookPhase::Pending;
    const auto written = peers_.store.update_status(record, within(kStoreTimeout));
    if (!written && written.error().code != ErrorCode::Conflict) {
      note_store(written.error());
      return;
    }
    break;
  }
  gather_records();
}

}  // namespace gate
