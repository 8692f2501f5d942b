// What each parser of foreign text costs against the size of the text, from 1 KiB to 1 MiB, over shapes that parsers
// are slow with: a parser that costs more than in proportion lets a tenant's text hold up everybody. usage:
// bench_parsers [PART_OF_A_NAME]     exit code 1: one of them is not linear

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "policy/decision/bypass.hpp"
#include "policy/hooks/comparison.hpp"
#include "policy/hooks/frontend_setting.hpp"
#include "policy/hooks/hook_configuration.hpp"
#include "policy/hooks/rollout_configuration.hpp"
#include "policy/hooks/sent_sql.hpp"
#include "policy/hooks/sql.hpp"
#include "policy/json/json_projection.hpp"
#include "policy/record/http_hook.hpp"
#include "policy/record/preparation_codec.hpp"
#include "policy/record/record_order.hpp"
#include "policy/review/admission_review.hpp"
#include "policy/review/caller_token.hpp"
#include "policy/review/object_projection.hpp"
#include "policy/text/base64.hpp"
#include "policy/text/characters.hpp"
#include "policy/text/text.hpp"
#include "policy/text/time.hpp"
#include "policy/text/url.hpp"
#include "policy/text/yaml.hpp"
#include "policy/trace/trace.hpp"
#include "policy/versions/image_change.hpp"
#include "policy/versions/upgrade_path.hpp"
#include "policy/versions/version.hpp"
#include "server/console/json_stream.hpp"
#include "server/http/request_sizer.hpp"
#include "server/kubernetes/client/answer_stream.hpp"
#include "server/kubernetes/client/kube_config.hpp"
#include "server/starrocks/login_answer.hpp"

namespace {

using namespace gate;
using nlohmann::json;

constexpr std::array<std::size_t, 6> kSizes{1u << 10, 4u << 10, 16u << 10, 64u << 10, 256u << 10, 1u << 20};
/// Of sixteen times the text. Linear is 16, and up to 40 where what is built of it no longer fits into a cache or comes
/// from the system page by page; quadratic is 256.
constexpr double kGrowthMax = 48;
/// Sizes from here on are compared with those of a sixteenth.
constexpr std::size_t kJudgedFrom = 4;
/// Below this a step is not judged: what is refused for its size costs nothing, and little things are noise.
constexpr double kJudgedFromUs = 100;
/// One measurement is the least of several: what disturbs only adds.
constexpr int kRunsMin = 5;
constexpr double kRunsUs = 20'000;

double cpu_us() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

/// So that no call is optimised away.
volatile std::size_t g_seen = 0;

double cost_us(const std::function<std::size_t(const std::string&)>& parse, const std::string& text) {
  double least = 1e12;
  double all = 0;
  for (int run = 0; run < kRunsMin || (all < kRunsUs && run < 1000); ++run) {
    const double began = cpu_us();
    g_seen = g_seen + parse(text);
    const double took = cpu_us() - began;
    least = std::min(least, took);
    all += took;
  }
  return least;
}

struct Shape {
  std::string name;
  std::string first;
  std::string again;  ///< Repeated until the size is reached; "#" in it becomes the number of the repetition.
  std::string last;
};

std::string text_of(const Shape& shape, std::size_t size) {
  std::string text = shape.first;
  const auto number = shape.again.find('#');
  for (std::size_t i = 0; text.size() + shape.last.size() < size; ++i) {
    if (number == std::string::npos) {
      text += shape.again;
    } else {
      text += shape.again.substr(0, number) + std::to_string(i) + shape.again.substr(number + 1);
    }
  }
  return text + shape.last;
}

struct Parser {
  const char* name;
  std::function<std::size_t(const std::string&)> parse;
  const std::vector<Shape>* shapes;
};

// ---- Shapes ----

const std::vector<Shape> kWords{
    {"one letter", "", "a", ""},
    {"digits", "", "7", ""},
    {"dots", "", ".", ""},
    {"slashes", "", "/", ""},
    {"colons", "", ":", ""},
    {"blanks", "", " ", ""},
    {"lines", "", "\n", ""},
    {"line ends of Windows", "", "\r\n", ""},
    {"quotes", "", "'", ""},
    {"commas", "", "a,", ""},
    {"semicolons", "", "a;", ""},
    {"escapes", "", "\\", ""},
    {"controls", "", "\x1b[31m", ""},
    {"bytes that are no UTF-8", "", "\xff", ""},
    {"letters of three bytes", "", "\xe2\x80\x8b", ""},
    {"pairs", "", "a=b; ", ""},
    {"per cent", "http://h/", "%41", ""},
    {"steps up", "http://h/", "../a/", ""},
    {"a secret's name", "", "password ", ""},
    {"a secret", "", "hunter2hunter", ""},
    {"nearly a secret", "", "hunter2hunte", ""},
    {"nearly an immutable field", "", "immutable ", ""},
};

const std::vector<Shape> kStatements{
    {"the same, over and over", "", "SHOW FRONTENDS;\n", ""},
    {"one setting", "", "ADMIN SET FRONTEND CONFIG (\"tablet_sched_max_scheduling_tablets\" = \"0\");\n", ""},
    {"one setting to many values", "", "ADMIN SET FRONTEND CONFIG (\"tablet_sched_max_scheduling_tablets\" = \"#\");\n",
     ""},
    {"refused ones", "", "DROP TABLE t#;\n", ""},
};

const std::vector<Shape> kSql{
    {"statements", "", "a;", ""},
    {"empty statements", "", ";", ""},
    {"lines of statements", "", "SHOW FRONTENDS;\n", ""},
    {"one line comment each", "", "-- a\n", ""},
    {"block comments", "", "/* a */", ""},
    {"open block comments", "", "/*", ""},
    {"hints", "", "/*+ a */", ""},
    {"a text without an end", "'", "a", ""},
    {"doubled quotes", "'", "''", "'"},
    {"escaped quotes", "'", "\\'", "'"},
    {"quoted names", "", "`a` ", ""},
    {"open quotes, each kind", "", "'\"`", ""},
    {"brackets", "", "(", ""},
    {"pairs of brackets", "SELECT ", "()", ""},
    {"numbers", "SELECT ", "1.5e3,", ""},
    {"one number", "SELECT ", "9", ""},
    {"dots", "", ".", ""},
    {"a setting", "ADMIN SET FRONTEND CONFIG (\"a\" = \"", "x", "\")"},
    {"dollars", "", "$$", ""},
    {"letters of other scripts", "", "\xd0\xb0", ""},
};

const std::vector<Shape> kJson{
    {"one text", R"({"a":")", "x", R"("})"},
    {"escapes", R"({"a":")", R"(\u0041)", R"("})"},
    {"pairs of surrogates", R"({"a":")", R"(\ud83d\ude00)", R"("})"},
    {"backslashes", R"({"a":")", R"(\\)", R"("})"},
    {"a text without an end", R"({"a":")", "x", ""},
    {"empty lists", R"({"a":[)", "[],", "[]]}"},
    {"empty objects", R"({"a":[)", "{},", "{}]}"},
    {"members, all different", "{", R"("k#":1,)", R"("last":1})"},
    {"members, all the same", "{", R"("k":1,)", R"("k":1})"},
    {"texts", R"({"a":[)", R"("x",)", "1]}"},
    {"numbers", R"({"a":[)", "1.5e3,", "1]}"},
    {"one number", R"({"a":)", "9", "}"},
    {"deep lists", "", "[", ""},
    {"deep objects", "", R"({"a":)", ""},
    {"blanks", "{", " ", "}"},
    {"lines", "{", "\n", "}"},
    {"documents", "", "{}\n", ""},
    {"a list without an end", R"({"a":[)", "1,", ""},
    {"environment", R"({"data":[)", R"({"name":"A_#","value":"b"},)", "{}]}"},
};

std::vector<Shape> within(const std::vector<Shape>& shapes, const std::string& before, const std::string& behind) {
  std::vector<Shape> out;
  for (const auto& shape : shapes) {
    out.push_back({shape.name, before + shape.first, shape.again, shape.last + behind});
  }
  return out;
}

const std::vector<Shape> kVariables = within(
    {
        {"others", "", R"({"name":"A_#","value":"b"},)", "{}"},
        {"others, with escapes", "", R"({"name":"A_#","value":"\n"},)", "{}"},
        {"the one that is asked for", "", R"({"name":"MYSQL_PWD","value":"b"},)", "{}"},
        {"no objects", "", R"("MYSQL_PWD",)", "{}"},
    },
    R"({"spec":{"starRocksFeSpec":{"feEnvVars":[)", "]}}}");

const std::vector<Shape> kReviews = [] {
  const std::string head =
      R"({"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"UPDATE",)"
      R"("kind":{"group":"starrocks.com","version":"v1","kind":"StarRocksCluster"},"namespace":"db","name":"sr",)";
  auto all = within(kJson, head + R"("oldObject":{"spec":{"starRocksFeSpec":{"image":"fe:1"}}},"object":)", "}}");
  for (auto& shape :
       within(kJson, head + R"("object":{"spec":{"starRocksFeSpec":{"image":"fe:2"}},"metadata":)", "}}}")) {
    shape.name = "in metadata: " + shape.name;
    all.push_back(shape);
  }
  for (auto& shape : within(kJson, head + R"("userInfo":)", "}}")) {
    shape.name = "in userInfo: " + shape.name;
    all.push_back(shape);
  }
  all.push_back({"many UIDs", R"({"request":{)", R"("uid":"u",)", R"("uid":"u"}})"});
  all.push_back({"many requests", "{", R"("request":{"uid":"u"},)", R"("request":{}})"});
  return all;
}();

const std::vector<Shape> kYaml{
    {"a list", "hooks:\n", "- a\n", ""},
    {"members, all different", "", "k#: v\n", ""},
    {"members, all the same", "", "k: v\n", ""},
    {"hooks", "hooks:\n", "- {name: h#, sql: 'SHOW FRONTENDS'}\n", ""},
    {"a list in brackets", "a: [", "b,", "]"},
    {"deep brackets", "", "[", ""},
    {"deep braces", "", "{a: ", ""},
    {"pairs in brackets", "[", "a: b,", "]"},
    {"deep dashes", "", "- ", ""},
    {"question marks", "", "? ", ""},
    {"a text without an end", "'", "a", ""},
    {"a folded text", "a: >\n", " b\n", ""},
    {"a literal text", "a: |\n", " b\n", ""},
    {"a plain text over lines", "a: b\n", "  c\n", ""},
    {"empty lines in a text", "a: |\n b\n", "\n", ""},
    {"comments", "", "# a\n", ""},
    {"one comment", "#", "a", ""},
    {"blanks", "a:", " ", "b"},
    {"lines", "", "\n", ""},
    {"documents", "", "---\na: b\n", ""},
    {"empty documents", "", "---\n", ""},
    {"dashes", "", "-", ""},
    {"anchors", "", "- &a# b\n", ""},
    {"aliases", "- &a b\n", "- *a\n", ""},
    {"merge keys", "- &a {b: c}\n", "- <<: *a\n", ""},
    {"tags", "", "- !!str a\n", ""},
    {"directives", "", "%A b\n", ""},
    {"escapes", "a: \"", "\\u0041", "\""},
    {"indented ever more", "", "a:\n  ", ""},
    {"colons", "", "a:", ""},
    {"tabs", "a:\n", "\tb\n", ""},
    {"byte order marks", "", "\xef\xbb\xbf---\n", ""},
    {"a key without an end", "", "a", ""},
};

const std::vector<Shape> kRequests{
    {"one header", "POST / HTTP/1.1\r\nX: ", "x", ""},
    {"headers", "POST / HTTP/1.1\r\n", "X: y\r\n", ""},
    {"an endless line", "POST /", "x", ""},
    {"a body", "POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n", "x", ""},
    {"lines", "", "\r\n", ""},
    {"chunks", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", ""},
};

const std::vector<Shape> kLists = [] {
  auto all = within(kJson, R"({"kind":"List","metadata":{},"items":[)", "]}");
  all.push_back({"items", R"({"items":[)", R"({"metadata":{"name":"n#"}},)", "{}]}"});
  return all;
}();

const std::vector<Shape> kStreams = [] {
  auto all = kJson;
  all.push_back({"small documents", "", R"({"type":"ADDED","object":{"n":#}})", ""});
  all.push_back({"noise between documents", "", "}]{}\"", ""});
  return all;
}();

const std::vector<Shape> kConfigs = [] {
  const std::string head = "current-context: a\nclusters: [{name: a, cluster: {server: 'https://h:1'}}]\n";
  auto all = kYaml;
  all.push_back({"contexts", head + "contexts:\n", "- {name: c#, context: {cluster: a, user: u}}\n", ""});
  all.push_back({"users", head + "contexts: [{name: a, context: {cluster: a, user: u}}]\nusers:\n",
                 "- {name: c#, user: {token: t}}\n", "- {name: u, user: {}}\n"});
  all.push_back({"a server's address", "current-context: a\nclusters: [{name: a, cluster: {server: 'https://", "h",
                 "'}}]\ncontexts: [{name: a, context: {cluster: a, user: u}}]\nusers: [{name: u, user: {}}]\n"});
  return all;
}();

/// What follows a greeting that takes no body.
const std::vector<Shape> kLogins = within(
    {
        {"packets without a body", "", std::string("\0\0\0\1", 4), ""},
        {"packets of a byte", "", std::string("\1\0\0\1a", 5), ""},
        {"plugins without a name", "", std::string("\2\0\0\1\xfe\0", 6), ""},
        {"plugins without an end", "", std::string("\2\0\0\1\376a", 6), ""},
        {"one plugin's name", std::string("\xff\xff\xff\1\xfe", 5), "a", std::string("\0", 1)},
        {"a packet that never comes", std::string("\xff\xff\xff\1", 4), "a", ""},
        {"controls in a name", std::string("\xff\xff\xff\1\xfe", 5), "\x1b", std::string("\0", 1)},
    },
    std::string("\0\0\0\0", 4), "");

const std::vector<Shape> kOfOneSecond{{"links to the one before", "1", "x", ""},
                                      {"links in a circle", "2", "x", ""},
                                      {"attempts at one target", "3", "x", ""}};

// ---- Parsers ----

template <class T>
std::size_t seen(const Result<T>& result) {
  return result ? 1 : result.error().message.size();
}

std::size_t seen(const HookConfiguration& configuration) {
  return configuration.hooks.size() + describe(configuration.faults).size();
}

HookConfiguration with_annotation(std::string_view name, const std::string& value) {
  const json object{{"kind", "StarRocksCluster"},
                    {"metadata", {{"name", "sr"}, {"annotations", {{std::string(name), value}}}}},
                    {"spec", json::object()}};
  return resolve_hooks({.object = object});
}

std::size_t entry(const char* key, const std::string& text) {
  return seen(validate_config_map({{key, text}}, HookRules{{}, true, {}}));
}

json record_with(const std::string& text) {
  Preparation record;
  record.name = record.name_space = record.spec.cluster = "a";
  record.spec.object = {"StarRocksCluster", "a", "uid"};
  record.status.message = text;
  json object = to_json(record);
  object["spec"]["changes"] = json::array({{{"component", "fe"}, {"from", text}, {"to", text}}});
  return object;
}

/// As they come in from a socket: piece by piece.
std::size_t gathered(const std::string& text) {
  const HttpLimits limits;
  http::RequestSizer sizer(limits);
  std::size_t due = 0;
  for (std::size_t end = 0; end < text.size(); end += 64) {
    due += sizer.is_due(std::string_view(text).substr(0, end)) ? 1 : 0;
  }
  return due;
}

std::size_t split_list(const std::string& text) {
  ListSplitter splitter(4u << 20);
  std::size_t items = 0;
  for (std::size_t at = 0; at < text.size(); at += 100) {
    if (!splitter.feed(std::string_view(text).substr(at, 100),
                       [&](const std::string& item) { return ++items, !item.empty(); })) {
      break;
    }
  }
  return items;
}

std::size_t split_lines(const std::string& text) {
  LineSplitter splitter(4u << 20);
  std::size_t lines = 0;
  for (std::size_t at = 0; at < text.size(); at += 100) {
    if (!splitter.feed(std::string_view(text).substr(at, 100), [&](const std::string&) { return ++lines > 0; })) break;
  }
  return lines;
}

/// As it comes through a pipe.
std::size_t streamed(const std::string& text) {
  JsonStream stream;
  std::size_t documents = 0;
  for (std::size_t at = 0; at < text.size(); at += 4096) {
    stream.append(std::string_view(text).substr(at, 4096));
    while (stream.next()) ++documents;
  }
  return documents;
}

std::size_t streamed_at_once(const std::string& text) {
  JsonStream stream;
  std::size_t documents = 0;
  stream.append(text);
  while (stream.next()) ++documents;
  return documents;
}

std::size_t metered(const std::string& text) {
  AnswerMeter meter;
  meter.allow(SIZE_MAX, SIZE_MAX);
  std::size_t counted = 0;
  for (std::size_t at = 0; at < text.size(); at += 100) {
    counted += meter.count(std::string_view(text).substr(at, 100)) ? 1 : 0;
  }
  return counted;
}

/// One record for each 256 bytes, all of one object and one second. Written by a hand: the first byte says how.
std::size_t ordered(const std::string& text) {
  const std::size_t count = text.size() / 256;
  std::vector<Preparation> records(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto& record = records[i];
    record.name = "r" + std::to_string(i);
    record.spec.changes = {{Component::Backend, "1", "2"}};
    record.spec.attempt = text[0] == '3' ? static_cast<int>(i) : 1;
    if (text[0] == '1' && i > 0) record.spec.supersedes = records[i - 1].name;
    if (text[0] == '2') record.spec.supersedes = "r" + std::to_string((i + 1) % count);
  }
  sort_newest_first(records);
  return records.front().name.size();
}

/// Statements in as many entries of one ConfigMap as they take, as the cluster that names it reads them.
std::size_t many_entries(const std::string& text) {
  constexpr std::size_t kLines = 60;
  static const json kObject{{"metadata", {{"annotations", {{std::string(annotation::kHooksConfigMap), "hooks"}}}}}};
  HookSources sources{.object = kObject};
  auto& data = sources.config_maps["hooks"].data;
  std::istringstream lines(text);
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    data["e" + std::to_string(count / kLines) + ".sql"] += line + "\n";
  }
  return resolve_hooks(sources).hooks.size();
}

const std::vector<Parser>& parsers() {
  static const Projection kStored = stored_object_projection();
  static const Projection kDigest = keep_and_digest("", {keep_all("a"), keep_all("data")});
  static const Projection kAll = keep_all();
  static const std::vector<std::string> kSecrets{"hunter2hunter2", "correct horse"};
  constexpr std::size_t kMax = 2u << 20;
  static const ProjectionLimits kNoLimits{kMax, kMax, kMax};
  static const std::vector<Parser> kParsers{
      {"review", [](const std::string& text) { return seen(parse_review(text)); }, &kReviews},
      {"review, at a glance",
       [](const std::string& text) { return ReviewGlancer().glance(text).has_value() ? 1u : 0u; }, &kReviews},
      {"review, its UID", [](const std::string& text) { return salvage_uid(text).size(); }, &kReviews},
      {"object of a watch", [](const std::string& text) { return seen(project_json(text, kStored)); }, &kJson},
      {"object of a watch, its variables",
       [](const std::string& text) { return seen(project_json(text, kStored, kNoLimits)); }, &kVariables},
      {"object, digested", [](const std::string& text) { return seen(project_json(text, kDigest)); }, &kJson},
      {"object, whole", [](const std::string& text) { return seen(project_json(text, kAll)); }, &kJson},
      {"JSON document", [](const std::string& text) { return seen(json_document(text, kMax)); }, &kJson},
      {"YAML documents", [](const std::string& text) { return seen(yaml_documents(text, kMax)); }, &kYaml},
      {"manifests", [](const std::string& text) { return seen(manifest_documents(text, kMax)); }, &kYaml},
      {"manifests in JSON", [](const std::string& text) { return seen(manifest_documents(text, kMax)); }, &kJson},
      {"SQL, tokens", [](const std::string& text) { return seen(tokenize_sql(text)); }, &kSql},
      {"SQL, statements", [](const std::string& text) { return seen(split_sql(text)); }, &kSql},
      {"SQL, judged", [](const std::string& text) { return seen(validate_sql(text)); }, &kSql},
      {"SQL, names of secrets", [](const std::string& text) { return asks_for_secret(text) ? 1u : 0u; }, &kSql},
      {"ConfigMap entry .sql", [](const std::string& text) { return entry("a.sql", text); }, &kSql},
      {"ConfigMap entry .yaml", [](const std::string& text) { return entry("a.yaml", text); }, &kYaml},
      {"ConfigMap entry .json", [](const std::string& text) { return entry("a.json", text); }, &kJson},
      {"ConfigMap entry .sh", [](const std::string& text) { return entry("a.sh", text); }, &kWords},
      {"ConfigMap of many entries", many_entries, &kStatements},
      {"annotation of hooks",
       [](const std::string& text) { return seen(with_annotation(annotation::kUpgradeHooks, text)); }, &kWords},
      {"annotation of ConfigMaps",
       [](const std::string& text) { return seen(with_annotation(annotation::kHooksConfigMap, text)); }, &kWords},
      {"annotation of a rollout",
       [](const std::string& text) { return seen(with_annotation(annotation::kUpgradeRollout, text)); }, &kWords},
      {"annotation of a bypass", [](const std::string& text) { return seen(parse_bypass(text)); }, &kWords},
      {"record", [](const std::string& text) { return seen(preparation_from_json(record_with(text))); }, &kWords},
      {"verdict of an HTTP hook", [](const std::string& text) { return read_http_verdict(200, text).message.size(); },
       &kJson},
      {"URL", [](const std::string& text) { return seen(parse_http_url(text)); }, &kWords},
      {"URL prefix", [](const std::string& text) { return seen(parse_http_url_prefix(text)); }, &kWords},
      {"version", [](const std::string& text) { return parse_version(text) ? 1u : 0u; }, &kWords},
      {"image", [](const std::string& text) { return image_version(text).size() + (version_of_image(text) ? 1u : 0u); },
       &kWords},
      {"upgrade path",
       [](const std::string& text) { return static_cast<std::size_t>(version_change(text, text + "1")); }, &kWords},
      {"traceparent", [](const std::string& text) { return parse_traceparent(text) ? 1u : 0u; }, &kWords},
      {"Secret's value", [](const std::string& text) { return decode_base64(text) ? 1u : 0u; }, &kWords},
      {"time", [](const std::string& text) { return parse_time(text) ? 1u : 0u; }, &kWords},
      {"caller's token",
       [](const std::string& text) { return caller_token_issued(std::string(kCallerKeyBytes, 'k'), text) ? 1u : 0u; },
       &kWords},
      {"check's value", [](const std::string& text) { return satisfies(text, Comparison::Less, text) ? 1u : 0u; },
       &kWords},
      {"FE's setting",
       [](const std::string& text) {
         return static_cast<std::size_t>(is_login_setting(text) + same_setting("double", text, text + "0") +
                                         same_setting("string[]", text, text)) +
                settable("string[]", text).size();
       },
       &kWords},
      {"text, cleaned", [](const std::string& text) { return clean_text(text, text.size()).size(); }, &kWords},
      {"text, printable", [](const std::string& text) { return printable_text(text).size(); }, &kWords},
      {"text, its secrets hidden", [](const std::string& text) { return without_secrets(text, kSecrets).size(); },
       &kWords},
      {"text, its line ends", [](const std::string& text) { return unix_text(text).size(); }, &kWords},
      {"HTTP request, gathered", gathered, &kRequests},
      {"list of the API server", split_list, &kLists},
      {"events of a watch", split_lines, &kLists},
      {"kubectl's stream, in pieces", streamed, &kStreams},
      {"kubectl's stream, at once", streamed_at_once, &kStreams},
      {"kubeconfig", [](const std::string& text) { return seen(kube_config_from_text(text, "/etc/none")); }, &kConfigs},
      {"kubeconfig in JSON", [](const std::string& text) { return seen(kube_config_from_text(text, "/etc/none")); },
       &kJson},
      {"FE before the login, counted", metered, &kLogins},
      {"FE before the login, its plugin", [](const std::string& text) { return wanted_login_plugin(text).size(); },
       &kLogins},
      {"records of one second, in order", ordered, &kOfOneSecond},
  };
  return kParsers;
}

/// What is said of one parser: its worst shape.
struct Verdict {
  double growth = 0;  ///< The largest of sixteen times the text.
  std::string of;     ///< That shape, and the step.
  double dearest_us = 0;
  std::string dearest;
};

Verdict judge(const Parser& parser) {
  Verdict verdict;
  for (const auto& shape : *parser.shapes) {
    std::array<double, kSizes.size()> costs{};
    for (std::size_t i = 0; i < kSizes.size(); ++i) {
      const double now = costs.at(i) = cost_us(parser.parse, text_of(shape, kSizes.at(i)));
      // The step is judged by the cost behind it: from nothing to something is no growth of a cost.
      // At the large end, where growth shows: what is refused early below some size makes a step, and no growth.
      if (i < kJudgedFrom || now < kJudgedFromUs) continue;
      const double growth = now / std::max(costs.at(i - 2), kJudgedFromUs / 16);
      if (growth <= verdict.growth) continue;
      verdict.growth = growth;
      verdict.of = shape.name + ", at " + std::to_string(kSizes.at(i) >> 10) + " KiB";
    }
    if (costs.back() > verdict.dearest_us) {
      verdict.dearest_us = costs.back();
      verdict.dearest = shape.name;
    }
  }
  return verdict;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view wanted = count > 1 ? arguments[1] : "";
  int code = 0;
  std::puts("| parser | 1 MiB, ms | of its dearest shape | 16 times the text, times the cost | at its worst |  |");
  std::puts("|---|---|---|---|---|---|");
  for (const auto& parser : parsers()) {
    if (std::string_view(parser.name).find(wanted) == std::string_view::npos) continue;
    auto verdict = judge(parser);
    // Once more before it is called slow: another process may have had the cache.
    if (verdict.growth > kGrowthMax) verdict = judge(parser);
    const bool linear = verdict.growth <= kGrowthMax;
    if (!linear) code = 1;
    std::printf("| %s | %.2f | %s | %.1f | %s | %s |\n", parser.name, verdict.dearest_us / 1000,
                verdict.dearest.c_str(), verdict.growth, verdict.of.empty() ? "(nothing to judge)" : verdict.of.c_str(),
                linear ? "linear" : "NOT LINEAR");
    std::fflush(stdout);
  }
  return code;
}
