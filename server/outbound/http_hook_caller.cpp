#include "server/outbound/http_hook_caller.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include "policy/text/text.hpp"
#include "server/outbound/one_post.hpp"

namespace gate {
namespace {

/// What is sent. Misconfigured for what no header may hold.
Result<std::string> usable_token(const HttpCallRequest& request, const HttpUrl& url) {
  const std::string& token = request.bearer_token;
  if (token.empty()) return token;
  if (!std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 0x7f; })) {
    return Error{ErrorCode::Misconfigured, "the bearer token has spaces, or characters that are no visible ASCII"};
  }
  if (!url.tls) return Error{ErrorCode::InvalidInput, "a bearer token is sent over https only"};
  return token;
}

}  // namespace

HttpHookCaller::HttpHookCaller(HttpHookCallerOptions options)
    : options_(std::move(options)), interrupted_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (interrupted_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  std::signal(SIGPIPE, SIG_IGN);
}

HttpHookCaller::~HttpHookCaller() { ::close(interrupted_); }

void HttpHookCaller::interrupt() {
  resolver_.interrupt();
  ::eventfd_write(interrupted_, 1);
}

Result<HttpCallReply> HttpHookCaller::post(const HttpCallRequest& request, Deadline deadline) {
  const auto url = parse_http_url(request.url);
  if (!url) return url.error();
  const auto failed = [&](const Error& error) {
    return Error{error.code, "POST " + clean_text(url->shown(), 200) + ": " + error.message, error.peer_code};
  };
  if (!is_under_any(*url, options_.allowed)) {
    return failed({ErrorCode::PermissionDenied, "not under a prefix that the gate's owner allows for HTTP hooks"});
  }
  const auto token = usable_token(request, *url);
  if (!token) return failed(token.error());
  const auto addresses = resolver_.resolve(url->host, deadline);
  if (!addresses) return failed(addresses.error());
  if (auto judged = judge_addresses(url->host, *addresses, options_.addresses); !judged) return failed(judged.error());

  Post post{*url, request.body, options_.version, request.ca_pem, {}};
  if (!token->empty()) post.headers.emplace_back("Authorization", "Bearer " + *token);
  auto reply = post_once(*addresses, post, deadline, interrupted_);
  if (!reply) return failed(reply.error());
  return HttpCallReply{reply->status, std::move(reply->body)};
}

}  // namespace gate
