#include "server/admission/admission_service.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "policy/decision/bypass.hpp"
#include "policy/decision/decision.hpp"
#include "policy/json/json_member.hpp"
#include "policy/review/status_preservation.hpp"
#include "policy/text/text.hpp"
#include "server/admission/final_error.hpp"
#include "server/admission/image_change_handler.hpp"
#include "server/admission/review_span.hpp"

namespace gate {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

/// Between our last word and the API server's patience: the answer has to travel, and to be read.
constexpr milliseconds kAnswerMargin{500};
constexpr std::string_view kConfigMapKind = "ConfigMap";
/// Below the timeoutSeconds of the webhook on StatefulSets (5).
constexpr std::chrono::seconds kStatefulSetTimeout{3};
/// Glancers that are kept: as many as there are threads that answer at once.
constexpr std::size_t kGlancersKept = 4;
/// A larger review takes longer than other connections should wait: a millisecond and more.
constexpr std::size_t kQuickBytesMax = 512u << 10;
constexpr std::string_view kNoImageChange = "allowed-no-image-change";

std::string annotation_of(const json& object, std::string_view key) {
  return text_member(member(member(object, "metadata"), "annotations"), key);
}

std::string decision_of(const AdmissionAnswer& answer) {
  for (const auto& annotation : answer.audit) {
    if (annotation.key == "decision") return annotation.value;
  }
  return answer.allowed ? "allowed" : "denied";
}

/// Losing the mirror of a status, which is written again, is a smaller harm than stopping the operator's own writes.
AdmissionAnswer status_allowed_unread() {
  auto answer = allow();
  answer.audit.push_back({"decision", "allowed-unread"});
  return answer;
}

AdmissionAnswer internal_error(std::string_view path, std::string_view uid) {
  auto answer = path == AdmissionService::kStatusPath
                    ? allow()
                    : deny(kDenialCode, "InternalError",
                           "internal error of the upgrade gate while it handled request " + clean_text(uid) +
                               "; its log has the details. Nothing of this request was applied.");
  answer.audit.push_back({"decision", "error"});
  return answer;
}

}  // namespace

milliseconds review_timeout(std::string_view query) {
  constexpr std::string_view kName = "timeout=";
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (!part.starts_with(kName)) continue;
    int seconds = 0;
    const auto* last = part.data() + part.size();
    const auto [unit, error] = std::from_chars(part.data() + kName.size(), last, seconds);
    const milliseconds timeout = std::chrono::seconds(seconds);
    const bool valid = error == std::errc() && std::string_view(unit, last) == "s" && timeout > milliseconds(0) &&
                       seconds <= std::chrono::ceil<std::chrono::seconds>(kReviewTimeoutMax).count();
    return valid ? timeout : kReviewTimeoutDefault;
  }
  return kReviewTimeoutDefault;
}

AdmissionService::AdmissionService(const AdmissionPeers& peers, AdmissionServiceOptions options,
                                   std::function<void(const ReviewOutcome&)> on_answer)
    : peers_(peers),
      options_(std::move(options)),
      stateful_sets_(peers_.store, peers_.clusters, peers_.log, options_.default_hooks, options_.rollout_defaults),
      on_answer_(std::move(on_answer)) {}

void AdmissionService::set_own_username(std::string username) { *own_username_.lock() = std::move(username); }

ReviewReply AdmissionService::review(std::string_view path, std::string_view body, milliseconds timeout,
                                     std::string_view traceparent) {
  const auto began = peers_.clock.steady_now();
  // Half of a short patience at least is for the work.
  const Deadline deadline = began + timeout - std::min(kAnswerMargin, timeout / 2);
  const auto finish = [&](std::string decision) {
    const auto took = peers_.clock.steady_now() - began;
    on_answer_({path, std::move(decision), took, took > timeout});
  };
  std::string api_version;
  std::string uid;
  try {
    if (path == kGatePath && body.size() > kQuickBytesMax) {
      // Its buffers are up to four times as large as the body: those of one at a time.
      if (auto reply = glance(*large_glancer_.lock(), path, body)) return *std::move(reply);
    }
    auto request = parse_review(body);
    if (!request) {
      uid = salvage_uid(body);
      log_limited(malformed_, began, peers_.log, LogLevel::Warning, "review refused",
                  {{"path", path}, {"uid", uid}, {"error", request.error().message}});
      finish("malformed");
      const int code = request.error().peer_code == 0 ? 400 : request.error().peer_code;
      // Without a UID no answer can be well formed: plain HTTP says what is wrong.
      if (uid.empty()) return {code, "text/plain; charset=utf-8", clean_text(request.error().message) + "\n"};
      if (path == kStatusPath) return {200, "application/json", render("", uid, status_allowed_unread())};
      return {200, "application/json", render("", uid, deny(code, "BadRequest", clean_text(request.error().message)))};
    }
    api_version = request->api_version;
    uid = request->uid;
    ReviewSpan span(path == kGatePath ? peers_.spans : nullptr, peers_.clock, *request, traceparent);
    const auto answered = answer(path, *request, deadline);
    const auto decision = decision_of(answered);
    if (decision != kNoImageChange) span.end(*request, answered, decision);
    if (path == kGatePath) {
      log_info(peers_.log, "decision",
               {{"uid", uid},
                {"object", request->name_space + "/" + request->name},
                {"user", request->user.username},
                {"dry_run", request->dry_run},
                {"decision", decision},
                {"reason", answered.reason}});
    }
    finish(decision);
    return {200, "application/json", render(api_version, uid, answered)};
  } catch (const std::exception& bug) {
    log_error(peers_.log, "review failed", {{"path", path}, {"uid", uid}, {"error", bug.what()}});
  } catch (...) {
    log_error(peers_.log, "review failed", {{"path", path}, {"uid", uid}});
  }
  finish("error");
  return {200, "application/json", render(api_version, uid, internal_error(path, uid))};
}

std::optional<ReviewReply> AdmissionService::try_fast_path(std::string_view path, std::string_view body) {
  if (path != kGatePath || body.size() > kQuickBytesMax) return std::nullopt;
  std::unique_ptr<ReviewGlancer> glancer;
  {
    const auto unused = glancers_.lock();
    if (!unused->empty()) {
      glancer = std::move(unused->back());
      unused->pop_back();
    }
  }
  if (!glancer) glancer = std::make_unique<ReviewGlancer>();
  auto reply = glance(*glancer, path, body);
  if (const auto unused = glancers_.lock(); unused->size() < kGlancersKept) unused->push_back(std::move(glancer));
  return reply;
}

std::optional<ReviewReply> AdmissionService::glance(ReviewGlancer& glancer, std::string_view path,
                                                    std::string_view body) {
  const auto began = peers_.clock.steady_now();
  const auto seen = glancer.glance(body);
  if (!seen || !seen->certainly_no_image_change) return std::nullopt;
  auto allowed = allow();
  allowed.audit.push_back({"decision", std::string(kNoImageChange)});
  on_answer_({path, std::string(kNoImageChange), peers_.clock.steady_now() - began});
  return ReviewReply{200, "application/json", render(seen->api_version, seen->uid, allowed)};
}

AdmissionAnswer AdmissionService::answer(std::string_view path, const AdmissionRequest& request, Deadline deadline) {
  if (path == kConfigurationPath) return check_configuration(request, deadline);
  if (path == StatefulSetHandler::kPath) {
    return stateful_sets_.answer(request, std::min(deadline, peers_.clock.steady_now() + kStatefulSetTimeout));
  }
  if (path == kStatusPath) {
    const std::string own = *own_username_.lock();
    return preserve_status(request, own);
  }
  if (request.operation != Operation::Update || !request.subresource.empty()) return allow();
  return ImageChangeHandler(peers_, options_, request, deadline).handle();
}

/// Who writes the annotation needs the right, as who sends the image change does: else somebody without it plants it,
/// and the next GitOps sync goes through in the name of a controller that may do everything.
std::optional<AdmissionAnswer> AdmissionService::refuse_bypass_annotation(const AdmissionRequest& request,
                                                                          Deadline deadline) const {
  const auto written = annotation_of(request.object, annotation::kBypass);
  if (written.empty() || written == annotation_of(request.old_object, annotation::kBypass)) return std::nullopt;
  const auto authorized = peers_.clusters.may(request.user, kBypassVerb, request.name_space, deadline);
  if (authorized && *authorized) return std::nullopt;
  if (authorized) return bypass_forbidden(request.user.username, request.name_space);
  log_warning(peers_.log, "permission check failed",
              {{"uid", request.uid}, {"user", request.user.username}, {"error", authorized.error().message}});
  const bool lasts = is_final(authorized.error());
  return deny(kDenialCode, std::string(lasts ? reason::kRecordRefused : reason::kUnavailable),
              "annotation " + std::string(annotation::kBypass) +
                  " is refused: the right to bypass could not be checked: " + clean_text(authorized.error().message) +
                  ". Nothing of this request was applied. " +
                  (lasts ? "Fix that first, then repeat it." : "Repeat it."));
}

AdmissionAnswer AdmissionService::check_configuration(const AdmissionRequest& request, Deadline deadline) const {
  if (request.operation != Operation::Create && request.operation != Operation::Update) return allow();
  if (!request.subresource.empty() || being_deleted(request.object)) return allow();
  const bool is_config_map = request.kind == kConfigMapKind;
  if (!is_config_map) {
    if (auto refusal = refuse_bypass_annotation(request, deadline)) return *std::move(refusal);
  }
  HookConfigurationReader reader(peers_, options_.rules, request.name_space, deadline, request.dry_run);
  const auto judge = [&](const json& object) {
    if (is_config_map) return validate_config_map(text_members(member(object, "data")), options_.rules);
    auto read = reader.read(object, {}, {}, {});
    require_leading(read, peers_.clusters, request.name_space, request.dry_run, deadline);
    return read;
  };
  const auto configuration = judge(request.object);
  auto answer = allow();
  if (!configuration.faults.empty()) {
    AdmissionFacts facts;
    facts.kind = request.kind;
    facts.name_space = request.name_space;
    facts.name = request.name;
    facts.configuration = configuration;
    // What was there before must not stop a change of something else.
    const bool as_before =
        request.operation == Operation::Update && judge(request.old_object).faults == configuration.faults;
    if (!as_before) return hooks_invalid(facts);
    answer.warnings.push_back(clean_text("not valid, as before: " + describe(configuration.faults), kWarningMax));
  }
  answer.warnings.insert(answer.warnings.end(), configuration.warnings.begin(), configuration.warnings.end());
  for (const auto& cause : configuration.unread)
    answer.warnings.push_back(clean_text("not judged: " + cause, kWarningMax));
  return answer;
}

}  // namespace gate
