#pragma once
// What an HTTP hook sends and what its answer means. Strict: an answer that is not understood admits nothing.
//
// | answer                                   | meaning                                                    |
// |------------------------------------------|------------------------------------------------------------|
// | 200 `{"verdict":"allow","message":...}`  | the hook is completed                                      |
// | 200 `{"verdict":"deny","message":...}`   | the hook has failed; it is not asked again                 |
// | 200 `{"verdict":"wait","message":...}`   | asked again after `pollSeconds`, until the hook's timeout  |
// | 408, 425, 429, 500 to 599                | asked again with back-off, until the hook's timeout        |
// | anything else, other bodies of a 200 too | the hook has failed, after its `retries`                   |

#include <string>
#include <string_view>

#include "policy/record/preparation.hpp"

namespace gate {

struct HttpVerdict {
  enum class Kind { Allow, Deny, Wait, Busy, NotUnderstood };
  Kind kind = Kind::NotUnderstood;
  std::string message;  ///< The service's own words, or what was not understood; cleaned.
};

/// The JSON that hook `hook` of `record` sends: apiVersion, kind "UpgradeHookRequest", preparation, key, attempt,
/// cluster{namespace,name}, changes[{component,from,to}], hook. The same with every repetition.
[[nodiscard]] std::string http_hook_request(const Preparation& record, const Hook& hook);

[[nodiscard]] HttpVerdict read_http_verdict(int status, std::string_view body);

}  // namespace gate
