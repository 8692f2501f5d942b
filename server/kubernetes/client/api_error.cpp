#include "server/kubernetes/client/api_error.hpp"

#include <nlohmann/json.hpp>
#include <string_view>

#include "policy/json/json_member.hpp"
#include "policy/json/json_projection.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// etcd takes no request of that size, today or tomorrow; the API server calls that an error of its own.
bool is_beyond_etcd(std::string_view message) {
  return message.find("etcdserver: request is too large") != std::string_view::npos ||
         message.find("trying to send message larger than max") != std::string_view::npos;
}

/// The verdict of somebody's webhook, under whatever code it chose.
bool is_denial(std::string_view message) {
  return message.starts_with("admission webhook \"") && message.find("denied the request") != std::string_view::npos;
}

/// What an answer of `status` that is not 2xx says, with the API server's own reason and message.
ErrorCode meaning_of(int status, std::string_view kube_reason, std::string_view message) {
  constexpr int kTimeout = 408;  // by a proxy in between
  constexpr int kGone = 410;     // a page or a watch that began too long ago
  constexpr int kTooMany = 429;
  if (status == 404) return kube_reason == "NotFound" ? ErrorCode::NotFound : ErrorCode::Unavailable;
  if (status == 403) return ErrorCode::PermissionDenied;
  if (is_denial(message) || is_beyond_etcd(message)) return ErrorCode::Rejected;
  if (status == 409) return kube_reason == "AlreadyExists" ? ErrorCode::AlreadyExists : ErrorCode::Conflict;
  // 401: a token is renewed by whoever issues it, and an API server that starts knows none for a moment.
  const bool passes = status == 401 || status == kTimeout || status == kGone || status == kTooMany || status >= 500;
  return passes ? ErrorCode::Unavailable : ErrorCode::Rejected;
}

}  // namespace

Error api_error(const std::string& what, int status, const std::string& body) {
  static const Projection kStatus = keep_members("", {keep_all("reason"), keep_all("message")});
  const auto projected = project_json(body, kStatus);
  const json parsed = projected ? *projected : json();
  const std::string kube_reason = text_member(parsed, "reason");
  std::string message = text_member(parsed, "message");
  if (message.empty()) message = body;
  const ErrorCode code = meaning_of(status, kube_reason, message);
  if (status == 401) message += " (the API server does not accept the gate's own token)";
  if (status == 404 && code != ErrorCode::NotFound) {
    message += " (the API server does not serve this kind: is its CRD installed?)";
  }
  return {code,
          what + ": " + std::to_string(status) + (kube_reason.empty() ? "" : " " + clean_text(kube_reason)) + ": " +
              clean_text(message),
          status};
}

}  // namespace gate
