#include "policy/record/http_hook.hpp"

#include <nlohmann/json.hpp>

#include "policy/text/text.hpp"

namespace gate {
namespace {

using nlohmann::json;

HttpVerdict not_understood(int status, std::string_view body) {
  const std::string shown = clean_text(body, 80);
  return {HttpVerdict::Kind::NotUnderstood, "HTTP " + std::to_string(status) +
                                                (shown.empty() ? " without a body" : " with \"" + shown + "\"") +
                                                R"(, expected 200 with {"verdict": "allow"|"deny"|"wait"})"};
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
  const json answer = json::parse(body, nullptr, false);
  if (!answer.is_object()) return not_understood(status, body);
  const auto text = [&](const char* key) {
    const auto field = answer.find(key);
    return field != answer.end() && field->is_string() ? field->get<std::string>() : std::string{};
  };
  const std::string verdict = text("verdict");
  const std::string message = clean_text(text("message"));
  if (verdict == "allow") return {HttpVerdict::Kind::Allow, message};
  if (verdict == "deny") return {HttpVerdict::Kind::Deny, message};
  if (verdict == "wait") return {HttpVerdict::Kind::Wait, message};
  return not_understood(status, body);
}

}  // namespace gate
