#include "policy/hooks/hook_definition.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "policy/hooks/hook_catalogue.hpp"
#include "policy/text/characters.hpp"
#include "policy/text/object_name.hpp"
#include "policy/text/text.hpp"
#include "policy/text/yaml.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// DNS label length: hook names become parts of messages, events and metric labels.
constexpr std::size_t kHookNameMax = 63;
constexpr int kRetriesMax = 10;
// Limits of the record's schema (manifests/crd).
constexpr std::size_t kColumnMax = 256;
constexpr std::size_t kExpectedValueMax = 4096;
constexpr std::size_t kCaBundleMax = 64u << 10;
constexpr std::size_t kScriptMax = 64u << 10;

constexpr std::string_view kNameAccepted = "1 to 63 letters, digits, '-', '_' or '.'";
constexpr std::string_view kNameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

bool is_hook_name(std::string_view name) {
  return !name.empty() && name.size() <= kHookNameMax && name.find_first_not_of(kNameCharacters) == name.npos;
}

/// A refused statement may hold a password: nothing that is quoted is repeated, in quotes of whatever kind.
std::string harmless_part(std::string_view sql) {
  std::size_t end = std::min(sql.find_first_of("'\"`"), sql.size());
  if (const auto odd = first_confusing_character(sql.substr(0, end))) end = odd->offset;
  const std::string_view part = sql.substr(0, end);
  return std::string(part) + (part.size() < sql.size() ? "..." : "");
}

/// With blanks for what stands in quotes, where every character is welcome; comments too, from `comment` to the end of
/// the line. Lines stay where they are.
std::string unquoted(std::string_view text, std::string_view comment) {
  std::string out(text);
  char quote = '\0';
  bool in_comment = false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const char c = text[i];
    if (c == '\n') {
      in_comment = false;
      continue;
    }
    const bool begins_word = i == 0 || std::string_view(" \t\n;").find(text[i - 1]) != std::string_view::npos;
    if (quote == '\0' && !in_comment) {
      in_comment = begins_word && text.substr(i).starts_with(comment);
      if (!in_comment && std::string_view("'\"`").find(c) != std::string_view::npos) quote = c;
      if (!in_comment) continue;
    } else if (quote != '\0' && c == '\\' && quote != '\'' && i + 1 < out.size()) {
      out[i++] = ' ';
    } else if (c == quote) {
      quote = '\0';
    }
    if (out[i] != '\n') out[i] = ' ';
  }
  return out;
}

/// "; line 2 has U+201C (...)": what may be why a text is not understood. "" when it has nothing of the kind.
std::string odd_character(std::string_view text, std::string_view comment) {
  const auto odd = first_confusing_character(unquoted(text, comment));
  return odd ? "; line " + std::to_string(odd->line) + " has " + odd->name : "";
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

template <class T>
bool share_one(const std::vector<T>& left, const std::vector<T>& right) {
  return left.empty() || right.empty() ||
         std::find_first_of(left.begin(), left.end(), right.begin(), right.end()) != left.end();
}

/// "= 0", ">= 3", "!= ''", "true": an operator, "=" when there is none, and a value, which may be quoted.
struct Expectation {
  Comparison comparison = Comparison::Equal;
  std::string value;
};

bool is_number(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  const std::size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string_view rest = point == text.npos ? "0" : text.substr(point + 1);
  const auto digits = [](std::string_view part) {
    return !part.empty() && part.find_first_not_of("0123456789") == part.npos;
  };
  return digits(whole) && digits(rest);
}

std::optional<Expectation> expectation_from(std::string_view text) {
  Expectation out;
  text = trimmed(text);
  const std::size_t length = std::min(text.find_first_not_of("=!<>"), text.size());
  if (length > 0) {
    const std::string_view sign = text.substr(0, length);
    const auto comparison = comparison_from(sign == "==" ? "=" : sign == "<>" ? "!=" : sign);
    if (!comparison) return std::nullopt;
    out.comparison = *comparison;
    text = trimmed(text.substr(length));
  }
  const bool quoted = text.size() >= 2 && (text.front() == '\'' || text.front() == '"') && text.back() == text.front();
  out.value = quoted ? text.substr(1, text.size() - 2) : text;
  if ((out.value.empty() && !quoted) || out.value.size() > kExpectedValueMax) return std::nullopt;
  const bool order = out.comparison != Comparison::Equal && out.comparison != Comparison::NotEqual;
  if (order && !is_number(out.value)) return std::nullopt;
  return out;
}

/// Whether `text`, which stands behind "f()", begins a function's body: "{" as a word of its own, or "(". Anything else
/// is a body of one command, and what was meant as the rest of it would run while the script is loaded.
bool begins_body(std::string_view text) {
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\n"), text.size()));
    if (!text.starts_with('#')) break;
    text.remove_prefix(std::min(text.find('\n'), text.size()));
  }
  if (text.starts_with('(')) return true;
  return text.starts_with('{') && (text.size() == 1 || std::string_view(" \t\n").find(text[1]) != text.npos);
}

/// Whether some line of the script begins the definition of `function`: "f() {", "f ()" and "{" in a later line,
/// "function f {".
bool defines(std::string_view script, std::string_view function) {
  constexpr std::string_view kFunction = "function ";
  while (!script.empty()) {
    const std::size_t end = std::min(script.find('\n'), script.size());
    std::string_view line = trimmed(script.substr(0, end));
    const bool keyword = line.starts_with(kFunction);
    if (keyword) line = trimmed(line.substr(kFunction.size()));
    if (line.starts_with(function)) {
      const std::string_view behind =
          script.substr(static_cast<std::size_t>(line.data() - script.data()) + function.size());
      const std::string_view next = behind.substr(std::min(behind.find_first_not_of(" \t"), behind.size()));
      const std::size_t close = next.starts_with('(') ? next.find_first_not_of(" \t", 1) : next.npos;
      if (close != next.npos && next[close] == ')' && begins_body(next.substr(close + 1))) return true;
      const bool ends_name = behind.empty() || std::string_view(" \t\n{").find(behind.front()) != behind.npos;
      if (keyword && ends_name && begins_body(behind)) return true;
    }
    script.remove_prefix(std::min(end + 1, script.size()));
  }
  return false;
}

struct Ending {
  std::string_view text;
  enum Format { Sql, Yaml, Json, Script } format;
};
constexpr std::array kEndings{Ending{".sql", Ending::Sql}, Ending{".yaml", Ending::Yaml}, Ending{".yml", Ending::Yaml},
                              Ending{".json", Ending::Json}, Ending{".sh", Ending::Script}};

const Ending* ending_of(std::string_view key) {
  const auto* found =
      std::find_if(kEndings.begin(), kEndings.end(), [&](const Ending& row) { return key.ends_with(row.text); });
  return found == kEndings.end() ? nullptr : found;
}

std::string timeout_accepted() {
  return "a whole number of seconds from " + std::to_string(kHookTimeoutMin.count()) + " to " +
         std::to_string(kHookTimeoutMax.count());
}

}  // namespace

bool has_hook_ending(std::string_view key) { return ending_of(key) != nullptr; }

std::string_view ending_meant(std::string_view key) {
  constexpr std::size_t kLongEnding = 4;  // ".sh" is near to too many
  constexpr std::size_t kKeyMax = 253;
  if (key.size() > kKeyMax || has_hook_ending(key)) return {};
  std::string look = look_of(key);
  look.erase(look.find_last_not_of(' ') + 1);
  const std::size_t dot = look.rfind('.');
  if (dot == std::string::npos) return {};
  const std::string_view written = std::string_view(look).substr(dot);
  std::string_view closest;
  std::size_t least = 2;
  for (const Ending& ending : kEndings) {
    const std::size_t distance = edit_distance(written, ending.text);
    if (distance >= least || (distance > 0 && ending.text.size() < kLongEnding)) continue;
    least = distance;
    closest = ending.text;
  }
  return closest;
}

bool applies_to(const HookCondition& condition, const ImageChange& change) {
  return share_one(condition.version_changes, {version_change(change.from, change.to)}) &&
         share_one(condition.components, {change.component});
}

bool can_meet(const HookDefinition& left, const HookDefinition& right) {
  return share_one(left.when.version_changes, right.when.version_changes) &&
         share_one(left.when.components, right.when.components) &&
         (left.hook.run_mode.empty() || right.hook.run_mode.empty() || left.hook.run_mode == right.hook.run_mode);
}

HookReader::HookReader(const HookRules& rules) : rules_(rules) {
  for (const std::string& text : rules.http_prefixes) {
    // The command line has refused what is none.
    if (auto prefix = parse_http_url_prefix(text)) prefixes_.push_back(*std::move(prefix));
  }
}

const json* HookReader::list_member(const json& parent, std::string_view key, const std::string& field) {
  const json* value = find_member(parent, key);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) {
    fault(field, shown(*value), "a list");
    return nullptr;
  }
  return within_limit(field, value->size()) ? value : nullptr;
}

bool HookReader::within_limit(const std::string& field, std::size_t count) {
  if (count <= kHooksMax) return true;
  fault(field, std::to_string(count) + " hooks", "at most " + std::to_string(kHooksMax) + " hooks");
  return false;
}

void HookReader::timeout_fault(std::string field, std::string_view value) {
  fault(std::move(field), value, timeout_accepted());
}

std::chrono::seconds HookReader::timeout_member(const json& parent, const std::string& field,
                                                std::chrono::seconds fallback) {
  const json* value = find_member(parent, "timeoutSeconds");
  if (value == nullptr) return fallback;
  if (value->is_number_integer()) {
    const std::chrono::seconds timeout{value->get<std::int64_t>()};
    if (timeout >= kHookTimeoutMin && timeout <= kHookTimeoutMax) return timeout;
  }
  fault(field, shown(*value), timeout_accepted() + (value->is_string() ? ", without quotes" : ""));
  return fallback;
}

std::chrono::seconds HookReader::poll_member(const json& parent, const std::string& field) {
  const auto seconds =
      integer_member(parent, "pollSeconds", field + ".pollSeconds", 1, static_cast<int>(kHookTimeoutMax.count()));
  return seconds ? std::chrono::seconds(*seconds) : kHookPollDefault;
}

// --- One hook --------------------------------------------------------------------------------------------------------

void HookReader::read_predefined(const std::string& field, std::string_view name, std::chrono::seconds timeout) {
  if (!is_predefined_name(name)) {
    const bool several = name.find_first_of(" \t\r\n;[") != std::string_view::npos;
    fault(field, name, (several ? "names separated by commas, each " : "") + instead_of(name));
    return;
  }
  HookDefinition prototype;
  prototype.field = field;
  prototype.hook.timeout = timeout;
  add_predefined(prototype, name, {}, std::nullopt);
}

void HookReader::add_predefined(const HookDefinition& prototype, std::string_view name, std::string_view given_name,
                                std::optional<bool> critical) {
  if (name == kRecommendedBundle) {
    for (const std::string_view part : recommended_hooks()) add_predefined(prototype, part, {}, critical);
    return;
  }
  const PredefinedHook* predefined = find_predefined(name);
  if (predefined == nullptr) return;
  HookDefinition definition = prototype;
  definition.hook.name = given_name.empty() ? name : given_name;
  definition.hook.action = predefined->action;
  definition.hook.critical = critical.value_or(predefined->critical);
  hooks.push_back(std::move(definition));
}

void HookReader::read_spec_hook(const json& item, std::size_t number, const std::string& field,
                                std::chrono::seconds timeout) {
  read_item(item, number, field, {{"name", "command", "critical"}, "hook", timeout});
}

void HookReader::read_item(const json& item, std::size_t number, const std::string& field, const List& list) {
  if (!is_object_of(item, field, "an object with a command", list.members)) return;
  const std::string name = read_name(item, field);
  const std::optional<bool> critical = boolean_member(item, "critical", field + ".critical");
  HookDefinition definition = read_conduct(item, field, list);

  std::string actions;
  std::vector<std::string_view> given;
  for (const std::string_view action : {"command", "sql", "check", "http"}) {
    if (std::find(list.members.begin(), list.members.end(), action) == list.members.end()) continue;
    actions.append(actions.empty() ? "" : ", ").append(action);
    if (find_member(item, action) != nullptr) given.push_back(action);
  }
  if (given.empty() && is_predefined_name(name)) {
    add_predefined(definition, name, {}, critical);
    return;
  }
  if (given.size() != 1) {
    if (actions == "command") {
      fault(field + ".command", "", "a predefined hook or one SQL statement");
    } else {
      fault(field, given.empty() ? "" : std::to_string(given.size()) + " actions", "exactly one of " + actions);
    }
    return;
  }
  const std::string action_field = field + "." + std::string(given.front());
  const json& action = *find_member(item, given.front());
  std::string text;
  if (given.front() == "command" || given.front() == "sql") {
    if (!action.is_string()) {
      fault(action_field, shown(action), "a predefined hook or one SQL statement");
      return;
    }
    text = action.get<std::string>();
  }
  const bool predefined = given.front() == "command" && is_predefined_name(text);
  if (is_predefined_name(name) && !(predefined && name == text)) {
    fault(field + ".name", name, "a name other than that of a predefined hook");
    return;
  }
  if (predefined) {
    add_predefined(definition, text, name, critical);
    return;
  }
  std::optional<HookAction> read;
  if (given.front() == "check") {
    read = read_check(action, action_field);
    if (definition.hook.restore == RestoreMode::Statement) {
      fault(field + ".restore", "", "captured or none: a check changes nothing");
    }
  } else if (given.front() == "http") {
    read = read_http(action, action_field);
  } else {
    read = read_sql(text, action_field,
                    given.front() == "command" ? "a predefined hook (" + instead_of(text) + ") or " : "");
  }
  if (!read) return;
  definition.hook.name = name.empty() ? list.name_stem + "-" + std::to_string(number) : name;
  definition.hook.action = *std::move(read);
  definition.hook.critical = critical.value_or(true);
  add(std::move(definition));
}

void HookReader::add(HookDefinition definition) {
  const Hook& hook = definition.hook;
  const auto* action = std::get_if<SqlAction>(&hook.action);
  if (action != nullptr && hook.restore == RestoreMode::Captured) {
    const auto statement = validate_sql(action->sql, rules_.more_sql);
    if (statement && statement->kind == SqlKind::SetGlobal) {
      warnings.push_back(
          clean_text("upgrade hook \"" + hook.name +
                         "\" has no restore: its variable stays as it sets it; restore: SET GLOBAL ... undoes it",
                     kWarningMax));
    }
  }
  hooks.push_back(std::move(definition));
}

std::string HookReader::read_name(const json& item, const std::string& field) {
  const json* name = find_member(item, "name");
  if (name == nullptr) return {};
  if (name->is_string() && is_hook_name(name->get_ref<const std::string&>())) return name->get<std::string>();
  fault(field + ".name", shown(*name), std::string(kNameAccepted));
  return {};
}

/// Everything but the name and the action.
HookDefinition HookReader::read_conduct(const json& item, const std::string& field, const List& list) {
  HookDefinition out;
  out.field = field;
  out.hook.timeout = timeout_member(item, field + ".timeoutSeconds", list.timeout);
  out.hook.retries = integer_member(item, "retries", field + ".retries", 0, kRetriesMax).value_or(0);
  if (const auto group = text_member(item, "group", field + ".group")) {
    if (is_hook_name(*group)) {
      out.hook.group = *group;
    } else {
      fault(field + ".group", *group, std::string(kNameAccepted));
    }
  }
  out.when = read_when(item, field + ".when", out.hook.run_mode);
  read_restore(item, field + ".restore", out.hook);
  return out;
}

HookCondition HookReader::read_when(const json& item, const std::string& field, std::string& run_mode) {
  HookCondition out;
  const json* when = object_member(item, "when", field);
  if (when == nullptr) return out;
  refuse_unknown_members(*when, field, {"versionChange", "component", "runMode"});

  const std::string changes = "major, minor, patch, downgrade, same, unknown";
  for (const std::string& word : words_member(*when, "versionChange", field + ".versionChange", changes)) {
    constexpr std::array all{VersionChange::Major,     VersionChange::Minor, VersionChange::Patch,
                             VersionChange::Downgrade, VersionChange::Same,  VersionChange::Unknown};
    const auto* found =
        std::find_if(all.begin(), all.end(), [&](VersionChange change) { return to_string(change) == word; });
    if (found == all.end()) {
      fault(field + ".versionChange", word, changes);
    } else {
      out.version_changes.push_back(*found);
    }
  }
  const std::string components = "fe, be, cn, warehouse";
  for (const std::string& word : words_member(*when, "component", field + ".component", components)) {
    if (const auto component = component_from(word)) {
      out.components.push_back(*component);
    } else {
      fault(field + ".component", word, components);
    }
  }
  if (auto mode = text_member(*when, "runMode", field + ".runMode")) {
    std::replace(mode->begin(), mode->end(), '-', '_');
    if (*mode == "shared_nothing" || *mode == "shared_data") {
      run_mode = *std::move(mode);
    } else {
      fault(field + ".runMode", *mode, "shared_nothing or shared_data");
    }
  }
  return out;
}

void HookReader::read_restore(const json& item, const std::string& field, Hook& hook) {
  const auto text = text_member(item, "restore", field);
  if (!text || *text == "captured") return;
  if (*text == "none") {
    hook.restore = RestoreMode::None;
    return;
  }
  Result<SqlStatement> statement = validate_sql(*text, rules_.more_sql);
  if (!statement) {
    fault(field, harmless_part(*text),
          "captured, none or one SQL statement (" + statement.error().message + odd_character(*text, "--") + ")");
    return;
  }
  hook.restore = RestoreMode::Statement;
  hook.restore_sql = std::move(statement->text);
}

std::optional<HookAction> HookReader::read_sql(const std::string& text, const std::string& field,
                                               const std::string& instead) {
  Result<SqlStatement> statement = validate_sql(text, rules_.more_sql);
  if (statement) return SqlAction{std::move(statement->text), std::move(statement->setting)};
  fault(field, harmless_part(text),
        instead + "one SQL statement (" + statement.error().message + odd_character(text, "--") + ")");
  return std::nullopt;
}

std::optional<HookAction> HookReader::read_check(const json& check, const std::string& field) {
  const std::size_t faults_before = faults.size();
  if (!is_object_of(check, field, "an object with sql and expect", {"sql", "column", "expect", "pollSeconds"})) {
    return std::nullopt;
  }
  QueryAction out;
  out.poll = poll_member(check, field);
  out.column = text_member(check, "column", field + ".column").value_or("");
  if (out.column.size() > kColumnMax) fault(field + ".column", out.column, "the name of a column");

  const std::string sql = text_member(check, "sql", field + ".sql").value_or("");
  constexpr std::string_view kQueries = "one SELECT, SHOW or ADMIN SHOW statement";
  if (Result<SqlStatement> statement = validate_sql(sql, rules_.more_sql); !statement) {
    fault(field + ".sql", harmless_part(sql),
          std::string(kQueries) + " (" + statement.error().message + odd_character(sql, "--") + ")");
  } else if (statement->kind == SqlKind::Select) {
    out.sql = std::move(statement->text);
  } else if (statement->kind == SqlKind::Show || statement->kind == SqlKind::AdminShow) {
    out.sql = std::move(statement->text);
    if (out.column.empty()) fault(field + ".column", "", "the name of the column of SHOW that is compared");
  } else {
    fault(field + ".sql", harmless_part(sql), std::string(kQueries));
  }

  const json* expect = find_member(check, "expect");
  const auto expectation =
      expect == nullptr || expect->is_structured() ? std::nullopt : expectation_from(shown(*expect));
  if (expectation) {
    out.comparison = expectation->comparison;
    out.value = expectation->value;
  } else {
    fault(field + ".expect", expect == nullptr ? "" : shown(*expect),
          "a value, or =, !=, <, <=, > or >= and a value (for an order, a number), such as \"= 0\"");
  }
  if (faults.size() != faults_before) return std::nullopt;
  return out;
}

std::optional<HookAction> HookReader::read_http(const json& http, const std::string& field) {
  const std::size_t faults_before = faults.size();
  if (!is_object_of(http, field, "an object with a url", {"url", "caBundle", "tokenSecret", "pollSeconds"})) {
    return std::nullopt;
  }
  HttpAction out;
  out.poll = poll_member(http, field);
  out.url = text_member(http, "url", field + ".url").value_or("");
  const Result<HttpUrl> url = parse_http_url(out.url);
  if (!url) {
    fault(field + ".url", "", url.error().message);
  } else if (prefixes_.empty()) {
    fault(field + ".url", url->shown(),
          "another kind of hook: HTTP hooks need a gate that was started with --http-hook-prefixes");
  } else if (!is_under_any(*url, prefixes_)) {
    std::string allowed;
    for (const HttpUrl& prefix : prefixes_) allowed.append(allowed.empty() ? "" : ", ").append(prefix.shown());
    fault(field + ".url", url->shown(), "a URL under " + allowed + " (--http-hook-prefixes)");
  }
  out.ca_pem = text_member(http, "caBundle", field + ".caBundle").value_or("");
  if (!out.ca_pem.empty() &&
      (out.ca_pem.size() > kCaBundleMax || out.ca_pem.find("-----BEGIN CERTIFICATE-----") == std::string::npos)) {
    fault(field + ".caBundle", "", "PEM certificates, at most " + std::to_string(kCaBundleMax) + " bytes");
  }
  if (const json* secret = object_member(http, "tokenSecret", field + ".tokenSecret")) {
    refuse_unknown_members(*secret, field + ".tokenSecret", {"name", "key"});
    out.token_secret = text_member(*secret, "name", field + ".tokenSecret.name").value_or("");
    out.token_key = text_member(*secret, "key", field + ".tokenSecret.key").value_or("");
    if (!is_object_name(out.token_secret)) fault(field + ".tokenSecret.name", out.token_secret, "a Secret's name");
    if (!is_data_key(out.token_key)) fault(field + ".tokenSecret.key", out.token_key, "a key of the Secret");
  }
  if (faults.size() != faults_before) return std::nullopt;
  return out;
}

// --- Entries of a ConfigMap ------------------------------------------------------------------------------------------

void HookReader::read_entry(const std::string& key, const std::string& text, const std::string& field,
                            std::chrono::seconds timeout) {
  const Ending* ending = ending_of(key);
  if (ending == nullptr) {
    fault(field, key, "a key that ends in " + std::string(kHookEndings));
    return;
  }
  // Hooks are named after it: room for "-64", and the characters that the API server allows in a key.
  const std::string stem = key.substr(0, std::min(key.size() - ending->text.size(), kHookNameMax - 3));
  if (stem.find_first_not_of(kNameCharacters) != std::string::npos) {
    fault(field, key, "a key of letters, digits, '-', '_' and '.'");
    return;
  }
  const std::size_t faults_before = faults.size();
  switch (ending->format) {
    case Ending::Sql:
      read_sql_file(text, stem.empty() ? "hook" : stem, field, timeout);
      return;
    case Ending::Yaml: {
      Result<std::vector<json>> documents = yaml_documents(text);
      if (!documents) {
        read_list_file(Error{ErrorCode::InvalidInput, documents.error().message + odd_character(text, "#")}, stem,
                       field, timeout);
      } else if (documents->size() > 1) {
        fault(field, std::to_string(documents->size()) + " documents", "one YAML document");
      } else {
        read_list_file(documents->empty() ? json() : documents->front(), stem, field, timeout);
      }
      name_odd_character(text, faults_before);
      return;
    }
    case Ending::Json:
      read_list_file(json_document(text), stem, field, timeout);
      name_odd_character(text, faults_before);
      return;
    case Ending::Script:
      read_script(text, stem.empty() ? "hook" : stem, field, timeout);
      return;
  }
}

void HookReader::name_odd_character(const std::string& text, std::size_t faults_before) {
  if (faults.size() == faults_before) return;
  std::string& told = faults[faults_before].accepted;
  if (told.find("U+") == std::string::npos) told += odd_character(text, "#");
}

void HookReader::read_sql_file(const std::string& written, const std::string& stem, const std::string& field,
                               std::chrono::seconds timeout) {
  const std::string text = unix_text(written);
  if (text.size() > kYamlBytesMax) {
    fault(field, std::to_string(text.size()) + " bytes", "at most " + std::to_string(kYamlBytesMax) + " bytes");
    return;
  }
  const Result<std::vector<SqlPiece>> pieces = split_sql(text);
  if (!pieces) {
    const auto odd = first_confusing_character(unquoted(text, "--"));
    fault(field, odd ? harmless_part(line_of(text, odd->line)) : "",
          "SQL statements, each ended by ';' (" + pieces.error().message + odd_character(text, "--") + ")");
    return;
  }
  if (pieces->empty()) fault(field, "", "at least one SQL statement");
  if (!within_limit(field, pieces->size())) return;
  for (std::size_t i = 0; i < pieces->size(); ++i) {
    const SqlPiece& piece = (*pieces)[i];
    HookDefinition definition;
    definition.field = field + " line " + std::to_string(piece.line);
    auto action = read_sql(std::string(piece.text), definition.field, "");
    if (!action) continue;
    definition.hook.name = stem + "-" + std::to_string(i + 1);
    definition.hook.action = *std::move(action);
    definition.hook.timeout = timeout;
    add(std::move(definition));
  }
}

void HookReader::read_list_file(const Result<json>& document, const std::string& stem, const std::string& field,
                                std::chrono::seconds timeout) {
  if (!document) {
    fault(field, "", "YAML or JSON with a list \"hooks\" (" + document.error().message + ")");
    return;
  }
  if (!document->is_object() || find_member(*document, "hooks") == nullptr) {
    fault(field, "", "an object with a list \"hooks\"");
    return;
  }
  refuse_unknown_members(*document, field, {"hooks"});
  const json* items = list_member(*document, "hooks", field + ".hooks");
  if (items == nullptr) return;
  if (items->empty()) fault(field + ".hooks", "", "at least one hook");
  const List list{
      {"name", "command", "sql", "check", "http", "critical", "timeoutSeconds", "retries", "restore", "when", "group"},
      stem.empty() ? "hook" : stem,
      timeout};
  for (std::size_t i = 0; i < items->size(); ++i) {
    read_item((*items)[i], i + 1, field + ".hooks[" + std::to_string(i) + "]", list);
  }
}

void HookReader::read_script(const std::string& written, const std::string& stem, const std::string& field,
                             std::chrono::seconds timeout) {
  const std::size_t faults_before = faults.size();
  // With a carriage return behind it, "{" begins no function: its body would run while the script is loaded.
  const std::string text = unix_text(written);
  if (!rules_.scripts) {
    fault(field, "",
          "SQL in a key that ends in .sql or .yaml: shell scripts run only as Kubernetes Jobs, of a gate that was "
          "started with --script-hook-image");
  }
  if (text.size() > kScriptMax || text.find('\0') != std::string::npos) {
    fault(field, std::to_string(text.size()) + " bytes",
          "a shell script of at most " + std::to_string(kScriptMax) + " bytes");
    return;
  }
  if (const auto odd = first_confusing_character(unquoted(text, "#"))) {
    const std::string_view line = trimmed(line_of(text, odd->line));
    fault(field + " line " + std::to_string(odd->line), harmless_part(line.substr(0, line.find('='))),
          "plain characters outside of quotes and comments, where the shell takes " + odd->name +
              " for a part of a name");
  }
  if (!defines(text, "pre_upgrade")) {
    fault(field, "",
          "a shell script that defines pre_upgrade() { ...; }, with a blank or the line's end behind the brace");
  }
  if (faults.size() != faults_before) return;
  HookDefinition definition;
  definition.field = field;
  definition.hook.name = stem;
  definition.hook.action = ScriptAction{text, defines(text, "post_upgrade")};
  definition.hook.timeout = timeout;
  hooks.push_back(std::move(definition));
}

}  // namespace gate
