#pragma once
// Hooks as people write them, one by one or in the entries of a ConfigMap (docs/hooks.md): read, judged, and nothing
// yet combined.

#include <chrono>
#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/hooks/hook.hpp"
#include "policy/hooks/sql.hpp"
#include "policy/json/member_reader.hpp"
#include "policy/text/url.hpp"
#include "policy/versions/image_change.hpp"
#include "policy/versions/version.hpp"

namespace gate {

/// One list of hooks; the documented procedure has four.
inline constexpr std::size_t kHooksMax = 64;

/// What the gate's owner allows beyond what every hook may do.
struct HookRules {
  std::vector<std::string> http_prefixes;  ///< URL prefixes that HTTP hooks may call; empty: none are accepted.
  bool scripts = false;                    ///< Scripts may run, as Kubernetes Jobs.
  std::vector<SqlKind> more_sql;           ///< Of further_sql().
};

/// `when`: a hook is left out unless some change of the request is one of these. An empty list means any.
struct HookCondition {
  std::vector<VersionChange> version_changes;
  std::vector<Component> components;
};
[[nodiscard]] bool applies_to(const HookCondition& condition, const ImageChange& change);

struct HookDefinition {
  Hook hook;
  HookCondition when;
  std::string field;  ///< Where it was written.
};
/// Whether one change on one cluster could call for both.
[[nodiscard]] bool can_meet(const HookDefinition& left, const HookDefinition& right);

/// Collects definitions and faults.
class HookReader : public MemberReader {
 public:
  explicit HookReader(const HookRules& rules);

  std::vector<HookDefinition> hooks;  ///< In the order they were read; names may repeat.
  std::vector<std::string> warnings;

  /// A predefined hook, or all of a bundle.
  void read_predefined(const std::string& field, std::string_view name, std::chrono::seconds timeout);
  /// An item of spec.upgradePreparation.hooks: name, command, critical. `number` counts from 1.
  void read_spec_hook(const nlohmann::json& item, std::size_t number, const std::string& field,
                      std::chrono::seconds timeout);
  /// An entry of a ConfigMap, by the ending of its key: see has_hook_ending. `field` names it in faults.
  void read_entry(const std::string& key, const std::string& text, const std::string& field,
                  std::chrono::seconds timeout);

  // As in MemberReader.
  /// Also a fault: more than kHooksMax items.
  const nlohmann::json* list_member(const nlohmann::json& parent, std::string_view key, const std::string& field);
  std::chrono::seconds timeout_member(const nlohmann::json& parent, const std::string& field,
                                      std::chrono::seconds fallback);
  void timeout_fault(std::string field, std::string_view value);
  bool within_limit(const std::string& field, std::size_t count);

 private:
  /// What is the same for all hooks of one list.
  struct List {
    std::vector<std::string_view> members;  ///< That its items may have.
    std::string name_stem;                  ///< Of hooks without a name.
    std::chrono::seconds timeout;
  };

  /// Warns of an effect that the gate does not undo by itself.
  void add(HookDefinition definition);
  void read_item(const nlohmann::json& item, std::size_t number, const std::string& field, const List& list);
  std::string read_name(const nlohmann::json& item, const std::string& field);
  HookDefinition read_conduct(const nlohmann::json& item, const std::string& field, const List& list);
  HookCondition read_when(const nlohmann::json& item, const std::string& field, std::string& run_mode);
  void read_restore(const nlohmann::json& item, const std::string& field, Hook& hook);
  std::optional<HookAction> read_sql(const std::string& text, const std::string& field, const std::string& instead);
  std::optional<HookAction> read_check(const nlohmann::json& check, const std::string& field);
  std::optional<HookAction> read_http(const nlohmann::json& http, const std::string& field);
  std::chrono::seconds poll_member(const nlohmann::json& parent, const std::string& field);
  void add_predefined(const HookDefinition& prototype, std::string_view name, std::string_view given_name,
                      std::optional<bool> critical);
  /// Adds to the first fault since then what in `text` people do not see.
  void name_odd_character(const std::string& text, std::size_t faults_before);
  void read_sql_file(const std::string& text, const std::string& stem, const std::string& field,
                     std::chrono::seconds timeout);
  void read_list_file(const Result<nlohmann::json>& document, const std::string& stem, const std::string& field,
                      std::chrono::seconds timeout);
  void read_script(const std::string& text, const std::string& stem, const std::string& field,
                   std::chrono::seconds timeout);

  const HookRules& rules_;
  std::vector<HttpUrl> prefixes_;
};

/// .sql, .yaml, .yml, .json or .sh: entries with other endings hold no hooks.
[[nodiscard]] bool has_hook_ending(std::string_view key);
/// The ending that a key without one was meant to have: in another case, with a typing error or with something that
/// nobody sees; "" for none.
[[nodiscard]] std::string_view ending_meant(std::string_view key);
inline constexpr std::string_view kHookEndings = ".sql, .yaml, .yml, .json or .sh";

}  // namespace gate
