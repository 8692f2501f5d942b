#include "policy/record/http_hook.hpp"

#include <nlohmann/json.hpp>

#include "policy/json/json_member.hpp"
#include "policy/text/text.hpp"
#include "policy/text/yaml.hpp"

namespace gate {
namespace {

using nlohmann::json;

HttpVerdict not_understood(int status, std::string_view body) {
  const std::string shown = clean_text(body, 80);
  return {HttpVerdict::Kind::NotUnderstood, "HTTP " + std::to_string(status) +
                                                (shown.empty() ? " without a body" : " with \"" + shown + "\"") +
                                                R"(, expected 200 with {"verdict": "allow"|"deny"|"wait"})"};
}

/// A member that only its letters' case, or a character nobody sees, tells from `name`: readers of other languages take
/// it for the same.
bool has_lookalike(const json& object, std::string_view name) {
  for (const auto& [key, value] : object.items()) {
    std::string folded;
    for (const char c : key) {
      if (c >= 'A' && c <= 'Z') folded += static_cast<char>(c - 'A' + 'a');
      if (c >= 'a' && c <= 'z') folded += c;
    }
    if (key != name && folded == name) return true;
  }
  return false;
}

}  // namespace

std::string http_hook_request(const Preparation& record, const Hook& hook) {
  json changes = json::array();
  for (const auto& change : record.spec.changes) {
    changes.push_back({{"component", to_string(change.component)}, {"from", change.from}, {"to", change.to}});
  }
  const json request{{"apiVersion", kPreparationApiVersion},
                     {"kind", "UpgradeHookRequest"},
                     {"preparation", record.name},
                     {"key", preparation_key(record.spec)},
                     {"attempt", record.spec.attempt},
                     {"cluster", {{"namespace", record.name_space}, {"name", record.spec.cluster}}},
                     {"changes", std::move(changes)},
                     {"hook", hook.name}};
  return request.dump(-1, ' ', false, json::error_handler_t::replace);
}

HttpVerdict read_http_verdict(int status, std::string_view body) {
  if (status == 408 || status == 425 || status == 429 || (status >= 500 && status <= 599)) {
    return {HttpVerdict::Kind::Busy, "HTTP " + std::to_string(status)};
  }
  if (status != 200) return not_understood(status, body);
  // A member twice, anywhere in it, is no answer: two readers could take two verdicts from it.
  const auto answer = json_document(body);
  if (!answer || !answer->is_object() || has_lookalike(*answer, "verdict")) return not_understood(status, body);
  const std::string verdict = text_member(*answer, "verdict");
  const std::string message = clean_text(text_member(*answer, "message"));
  if (verdict == "allow") return {HttpVerdict::Kind::Allow, message};
  if (verdict == "deny") return {HttpVerdict::Kind::Deny, message};
  if (verdict == "wait") return {HttpVerdict::Kind::Wait, message};
  return not_understood(status, body);
}

}  // namespace gate
