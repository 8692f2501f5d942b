// Alerts, dashboards and documents speak of metrics: each name, label and value that they use must be one that /metrics
// of the gate has, and what it has must be documented.

#include <doctest/doctest.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/null_sink.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "server/app/app.hpp"
#include "server/app/metrics.hpp"
#include "server/httplib.hpp"

namespace gate {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kRoot = GATE_SOURCE_DIR;
/// Prometheus adds them to what it scrapes.
const std::set<std::string> kTargetLabels{"job", "instance", "pod"};

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  REQUIRE_MESSAGE(in, file.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::string word_at(std::string_view text, std::size_t begin) {
  auto end = begin;
  while (end < text.size() && is_word(text[end])) ++end;
  return std::string(text.substr(begin, end - begin));
}

bool is_ours(const std::string& word) {
  constexpr std::string_view kPrefix = "upgrade_gate_";
  if (word.starts_with(kPrefix)) return word.size() > kPrefix.size();
  if (!word.starts_with("process_")) return false;
  const auto is_unit = [&](const char* unit) { return word.ends_with(unit); };
  return is_unit("_seconds") || is_unit("_seconds_total") || is_unit("_bytes") || is_unit("_fds");
}

/// Names of metrics in any text, with the place behind each.
std::vector<std::pair<std::string, std::size_t>> metrics_in(std::string_view text) {
  std::vector<std::pair<std::string, std::size_t>> out;
  for (std::size_t i = 0; i < text.size();) {
    if (!is_word(text[i])) {
      ++i;
      continue;
    }
    auto word = word_at(text, i);
    i += word.size();
    if (is_ours(word)) out.emplace_back(std::move(word), i);
  }
  return out;
}

/// One condition of a selector: label, operator, value.
struct Matcher {
  std::string label;
  std::string comparison;
  std::string value;
};

/// The conditions in the braces at `begin`, if there are any.
std::vector<Matcher> matchers_at(std::string_view text, std::size_t begin) {
  std::vector<Matcher> out;
  if (begin >= text.size() || text[begin] != '{') return out;
  for (auto i = begin + 1; i < text.size() && text[i] != '}';) {
    if (!is_word(text[i])) {
      ++i;
      continue;
    }
    Matcher matcher{word_at(text, i), "", ""};
    i += matcher.label.size();
    while (i < text.size() && (text[i] == '=' || text[i] == '!' || text[i] == '~')) matcher.comparison += text[i++];
    if (i < text.size() && text[i] == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i) matcher.value += text[i];
      ++i;
    }
    out.push_back(matcher);
  }
  return out;
}

/// What an answer of /metrics has.
struct Exposed {
  std::map<std::string, std::string> types;                                    // of families
  std::map<std::string, std::map<std::string, std::set<std::string>>> labels;  // of families: label, values

  explicit Exposed(const std::string& answer) {
    std::istringstream lines(answer);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string hash;
      std::string kind;
      std::string name;
      std::string type;
      if (line.starts_with("# TYPE ") && words >> hash >> kind >> name >> type) types[name] = type;
      if (line.starts_with('#')) continue;
      const auto series = word_at(line, 0);
      for (const auto& matcher : matchers_at(line, series.size())) {
        labels[family_of(series)][matcher.label].insert(matcher.value);
      }
    }
  }

  /// "" where there is none: a histogram's is that of its buckets, too.
  [[nodiscard]] std::string family_of(const std::string& series) const {
    if (types.contains(series)) return types.at(series) == "histogram" ? "" : series;
    for (const std::string suffix : {"_bucket", "_sum", "_count"}) {
      if (!series.ends_with(suffix)) continue;
      const auto family = types.find(series.substr(0, series.size() - suffix.size()));
      if (family != types.end() && family->second == "histogram") return family->first;
    }
    return "";
  }
};

/// What is wrong with a PromQL expression, or a dashboard's query or legend beside one.
std::vector<std::string> faults_of(const Exposed& exposed, const std::string& expression,
                                   const std::string& legend = "") {
  std::vector<std::string> faults;
  std::set<std::string> known = kTargetLabels;
  for (const auto& [name, end] : metrics_in(expression)) {
    const auto family = exposed.family_of(name);
    if (family.empty()) {
      faults.push_back("no metric " + name);
      continue;
    }
    const auto labels = exposed.labels.find(family);
    for (const auto& matcher : matchers_at(expression, end)) {
      if (kTargetLabels.contains(matcher.label)) continue;
      if (labels == exposed.labels.end() || !labels->second.contains(matcher.label)) {
        faults.push_back("no label " + matcher.label + " of " + name);
        continue;
      }
      const bool literal = matcher.comparison == "=" || matcher.comparison == "!=";
      const bool variable = matcher.value.find('$') != std::string::npos;
      if (literal && !variable && !labels->second.at(matcher.label).contains(matcher.value)) {
        faults.push_back("no value " + matcher.value + " of " + matcher.label + " of " + name);
      }
    }
    if (labels == exposed.labels.end()) continue;
    for (const auto& [label, values] : labels->second) known.insert(label);
  }
  const auto want_known = [&](const std::string& label) {
    if (!known.contains(label)) faults.push_back("no label " + label + " in " + expression);
  };
  for (const std::string keyword : {" by (", " by(", " without ("}) {
    for (auto at = expression.find(keyword); at != std::string::npos; at = expression.find(keyword, at + 1)) {
      const auto begin = at + keyword.size();
      std::istringstream list(expression.substr(begin, expression.find(')', begin) - begin));
      for (std::string label; std::getline(list, label, ',');) {
        want_known(word_at(label, std::min(label.find_first_not_of(' '), label.size())));
      }
    }
  }
  if (expression.starts_with("label_values(")) want_known(word_at(expression, expression.rfind(", ") + 2));
  for (auto at = legend.find("{{"); at != std::string::npos; at = legend.find("{{", at + 2)) {
    want_known(word_at(legend, at + 2));
  }
  return faults;
}

/// The answer of a registry with a record in every state that a series can come from.
const Exposed& registry() {
  static const Exposed exposed([] {
    MetricsSnapshot snapshot;
    snapshot.process = read_process_facts();
    snapshot.http.refused_by_reason = {{"too_slow", 0}};  // a server has them all from its start
    for (const char* part : kInstallationParts) snapshot.installation.push_back({part, true, {}});
    OpenPreparation record;
    record.name_space = "db";
    record.cluster = "sr";
    record.name = "sr-1";
    record.settings_held_since = WallTime{};
    record.restore_due_since = WallTime{};
    for (const auto turn : {TurnPhase::Held, TurnPhase::Rolling, TurnPhase::Paused}) {
      record.turn = turn;
      snapshot.preparations.push_back(record);
    }
    return Metrics({"1", "2"}).scrape(snapshot);
  }());
  return exposed;
}

/// The strings of a dashboard that are expressions, each with the legend beside it.
void expressions_of(const json& value, std::vector<std::pair<std::string, std::string>>& out) {
  if (value.is_object()) {
    for (const char* key : {"expr", "query", "definition"}) {
      if (value.contains(key) && value.at(key).is_string()) {
        out.emplace_back(value.at(key), value.contains("legendFormat") ? value.at("legendFormat") : json(""));
      }
    }
  }
  if (value.is_structured()) {
    for (const auto& member : value) expressions_of(member, out);
  }
}

std::vector<fs::path> texts_below(const std::vector<std::string>& places) {
  std::vector<fs::path> files;
  for (const auto& place : places) {
    const auto path = kRoot / place;
    if (fs::is_regular_file(path)) files.push_back(path);
    if (!fs::is_directory(path)) continue;
    const auto options = fs::directory_options::follow_directory_symlink;  // the chart's copies are links
    for (const auto& entry : fs::recursive_directory_iterator(path, options)) {
      const auto kind = entry.path().extension();
      if (entry.is_regular_file() && (kind == ".md" || kind == ".yaml" || kind == ".json" || kind == ".txt")) {
        files.push_back(entry.path());
      }
    }
  }
  return files;
}

TEST_CASE("a name, a label or a value that does not exist is found") {
  const auto fault = [](const std::string& expression, const std::string& legend = "") {
    const auto faults = faults_of(registry(), expression, legend);
    return faults.empty() ? std::string() : faults.front();
  };
  CHECK(fault("max(upgrade_gate_ready) == 0").empty());
  CHECK(fault(R"(sum by (le) (rate(upgrade_gate_review_duration_seconds_bucket{path="/validate"}[5m])))").empty());
  CHECK(fault(R"(process_open_fds{job=~".*"})", "{{pod}}").empty());
  CHECK(fault("max(upgrade_gate_reddy)") == "no metric upgrade_gate_reddy");
  CHECK(fault("rate(upgrade_gate_review_duration_seconds[5m])") == "no metric upgrade_gate_review_duration_seconds");
  CHECK(fault("upgrade_gate_bypasses_total_bucket") == "no metric upgrade_gate_bypasses_total_bucket");
  CHECK(fault("process_heap_bytes") == "no metric process_heap_bytes");
  CHECK(fault(R"(upgrade_gate_ready{zone="a"})") == "no label zone of upgrade_gate_ready");
  CHECK(fault(R"(upgrade_gate_preparation_info{namespace=~"$n",turn="paused"})") ==
        "no value paused of turn of upgrade_gate_preparation_info");
  CHECK(fault("max by (cluster, zone) (upgrade_gate_preparation_hooks)").starts_with("no label zone"));
  CHECK(fault("upgrade_gate_ready", "{{zone}}").starts_with("no label zone"));
  CHECK(fault("label_values(upgrade_gate_preparation_info, zone)").starts_with("no label zone"));
}

TEST_CASE("alerts use what exists") {
  std::istringstream lines(text_of(kRoot / "manifests/monitoring/alerts.yaml"));
  constexpr std::string_view kKey = "expr: ";
  std::size_t alerts = 0;
  std::size_t expressions = 0;
  for (std::string line; std::getline(lines, line);) {
    alerts += line.find("- alert: ") != std::string::npos ? 1 : 0;
    const auto at = line.find(kKey);
    if (at == std::string::npos) continue;
    const auto expression = line.substr(at + kKey.size());
    CAPTURE(expression);
    CHECK_FALSE(metrics_in(expression).empty());
    for (const auto& fault : faults_of(registry(), expression)) FAIL_CHECK(fault);
    ++expressions;
  }
  CHECK(alerts > 0);
  CHECK(expressions == alerts);  // each on its line
}

TEST_CASE("what the test of the alerts feeds them exists") {
  const auto text = text_of(kRoot / "test/monitoring/alerts_test.yaml");
  constexpr std::string_view kKey = "series: '";
  for (auto at = text.find(kKey); at != std::string::npos; at = text.find(kKey, at + 1)) {
    const auto begin = at + kKey.size();
    const auto series = text.substr(begin, text.find('\'', begin) - begin);
    const auto name = word_at(series, 0);
    if (name == "other") continue;  // what is there when the gate is not
    CAPTURE(series);
    const auto family = registry().family_of(name);
    CHECK_FALSE(family.empty());
    for (const auto& matcher : matchers_at(series, name.size())) {
      const auto& known = registry().labels;
      CHECK((kTargetLabels.contains(matcher.label) ||
             (known.contains(family) && known.at(family).contains(matcher.label))));
    }
  }
}

TEST_CASE("dashboards use what exists") {
  std::size_t seen = 0;
  for (const auto& file : texts_below({"manifests/monitoring/dashboards"})) {
    std::vector<std::pair<std::string, std::string>> expressions;
    expressions_of(json::parse(text_of(file)), expressions);
    for (const auto& [expression, legend] : expressions) {
      const std::string where = file.filename().string() + ": " + expression;
      CAPTURE(where);
      for (const auto& fault : faults_of(registry(), expression, legend)) FAIL_CHECK(fault);
      seen += metrics_in(expression).empty() ? 0 : 1;
    }
  }
  CHECK(seen > 10);
}

TEST_CASE("every text names metrics that exist") {
  std::size_t seen = 0;
  for (const auto& file : texts_below({"docs", "manifests", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"})) {
    const auto text = text_of(file);
    for (const auto& place : metrics_in(text)) {
      const auto& name = place.first;
      // The whole histogram may be spoken of.
      const bool exists = registry().types.contains(name) || !registry().family_of(name).empty();
      CHECK_MESSAGE(exists, file.string() << " names " << name);
      ++seen;
    }
  }
  CHECK(seen > 30);
}

/// Names and labels in the first column of the reference's table.
std::map<std::string, std::set<std::string>> documented() {
  const auto text = text_of(kRoot / "docs/reference.md");
  const auto begin = text.find("\n## Metrics\n");
  REQUIRE(begin != std::string::npos);
  const auto section = text.substr(begin, text.find("\n## ", begin + 1) - begin);
  std::map<std::string, std::set<std::string>> names;
  std::istringstream lines(section);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `")) continue;
    const auto column = line.substr(0, line.find(" | ", 1));
    for (std::size_t i = column.find('`'); i != std::string::npos;) {
      const auto end = column.find('`', i + 1);
      const auto word = column.substr(i + 1, end - i - 1);
      auto& labels = names["upgrade_gate_" + word_at(word, 0)];
      for (const auto& matcher : matchers_at(word, word_at(word, 0).size())) labels.insert(matcher.label);
      i = column.find('`', end + 1);
    }
  }
  for (const auto& [name, end] : metrics_in(section)) names.try_emplace(name);
  return names;
}

TEST_CASE("the reference lists every metric with its labels, and no other") {
  const auto listed = documented();
  for (const auto& entry : listed) {
    const auto& name = entry.first;
    const auto& labels = entry.second;
    CAPTURE(name);
    REQUIRE(registry().types.contains(name));
    std::set<std::string> real;
    if (registry().labels.contains(name)) {
      for (const auto& [label, values] : registry().labels.at(name)) real.insert(label);
    }
    real.erase("le");
    CHECK(labels == real);
  }
  for (const auto& type : registry().types) {
    CHECK_MESSAGE(listed.contains(type.first), type.first << " is not documented");
  }
}

TEST_CASE("names follow Prometheus' conventions") {
  for (const auto& entry : registry().types) {
    const auto& name = entry.first;
    CAPTURE(name);
    CHECK((entry.second == "counter") == name.ends_with("_total"));
    CHECK(metrics_in(name).size() == 1);
  }
}

TEST_CASE("a replica that serves answers with every one of them") {
  const auto directory = fs::temp_directory_path() / ("metric_names_test." + std::to_string(::getpid()));
  ServeOptions options;
  options.listen = {"127.0.0.1", 0};
  options.ops_listen = {"127.0.0.1", 0};
  options.dev_certificate_directory = directory.string();
  options.store = StoreKind::Memory;
  options.callers = CallerPolicy::Any;
  options.identity = "metric-names-test";
  options.frontend_address = FrontendAddress{"127.0.0.1", 9};
  options.stop_timeout = std::chrono::seconds(1);
  spdlog::logger log("quiet", std::make_shared<spdlog::sinks::null_sink_mt>());
  auto app = App::start(options, log);
  fs::remove_all(directory);
  REQUIRE_MESSAGE(app, app.error().message);
  httplib::Client client("127.0.0.1", (*app)->ops_port());
  const auto answer = client.Get("/metrics");
  (*app)->stop();
  REQUIRE(answer);
  REQUIRE(answer->status == 200);
  const Exposed served(answer->body);
  CHECK(served.types == registry().types);
  const auto value = [&](const std::string& series) {
    const auto at = answer->body.find("\n" + series + " ");
    return at == std::string::npos ? -1.0 : std::stod(answer->body.substr(at + series.size() + 2));
  };
  CHECK(value("upgrade_gate_ready") == 1);
  CHECK(value("process_resident_memory_bytes") > 0);
  CHECK(value("upgrade_gate_certificate_expiration_timestamp_seconds") > value("process_start_time_seconds"));
  CHECK(value(R"(upgrade_gate_requests_refused_total{reason="too_slow"})") == 0);
}

}  // namespace
}  // namespace gate
