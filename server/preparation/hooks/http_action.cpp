#include "policy/record/http_hook.hpp"
#include "policy/text/text.hpp"
#include "server/preparation/hooks/hook_actions.hpp"

namespace gate {
namespace {

using std::chrono::seconds;

/// One call of an HTTP hook; it asks for a verdict, not for work.
constexpr seconds kHttpTimeout{10};

}  // namespace

Result<Look> look_at_http(HookContext& context, const Hook& hook, const HttpAction& action, Deadline deadline) {
  const auto record = context.record.snapshot();
  const auto soon = context.within(kHttpTimeout, deadline);
  HttpCallRequest request{action.url, http_hook_request(record, hook), {}, action.ca_pem};
  if (!action.token_secret.empty()) {
    // Read for each call: a token that was rotated meanwhile is the valid one.
    auto token = context.clusters.secret_value(record.name_space, action.token_secret, action.token_key, soon);
    if (!token) return token.error();
    // A Secret made from a file ends with the file's line feed: neither what is sent nor what is hidden has it.
    token->erase(token->find_last_not_of("\r\n") + 1);
    if (token->empty()) {
      return Error{ErrorCode::Misconfigured, "Secret " + clean_text(action.token_secret) + ": key " +
                                                 clean_text(action.token_key) + " is empty: want the bearer token"};
    }
    context.keep_secret(*token);
    request.bearer_token = std::move(token).value();
  }
  const auto reply = context.http.post(request, soon);
  if (!reply) return reply.error();
  const auto verdict = read_http_verdict(reply->status, context.hide(reply->body));
  switch (verdict.kind) {
    case HttpVerdict::Kind::Allow:
      return Look{Look::State::Done, verdict.message, {}};
    case HttpVerdict::Kind::Wait:
      return Look{Look::State::NotYet, verdict.message.empty() ? "not yet" : "not yet: " + verdict.message,
                  action.poll};
    case HttpVerdict::Kind::Busy:
      return Error{ErrorCode::Unavailable, verdict.message, reply->status};
    case HttpVerdict::Kind::Deny:
      // Somebody's decision: asking again would be haggling.
      return Error{ErrorCode::PermissionDenied,
                   "denied" + (verdict.message.empty() ? std::string{} : ": " + verdict.message), reply->status};
    case HttpVerdict::Kind::NotUnderstood:
      break;
  }
  return Error{ErrorCode::Rejected, verdict.message, reply->status};
}

}  // namespace gate
