#include "policy/review/admission_review.hpp"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "policy/text/text.hpp"
#include "policy/versions/image_change.hpp"

using namespace gate;
using nlohmann::json;

namespace {

/// As kube-apiserver sends it.
json cluster(const std::string& be_image) {
  return {{"apiVersion", "starrocks.com/v1"},
          {"kind", "StarRocksCluster"},
          {"metadata", {{"name", "sr"}, {"namespace", "prod"}, {"uid", "0b7e"}, {"generation", 3}}},
          {"spec",
           {{"starRocksFeSpec", {{"image", "starrocks/fe-ubuntu:3.5.1"}, {"replicas", 3}}},
            {"starRocksBeSpec", {{"image", be_image}, {"replicas", 3}}}}},
          {"status", {{"phase", "running"}}}};
}

json review(const std::string& from = "be:1", const std::string& to = "be:1") {
  return {{"kind", "AdmissionReview"},
          {"apiVersion", "admission.k8s.io/v1"},
          {"request",
           {{"uid", "705ab4f5-6393-11e8-b7cc-42010a800002"},
            {"kind", {{"group", "starrocks.com"}, {"version", "v1"}, {"kind", "StarRocksCluster"}}},
            {"resource", {{"group", "starrocks.com"}, {"version", "v1"}, {"resource", "starrocksclusters"}}},
            {"requestKind", {{"group", "starrocks.com"}, {"version", "v1"}, {"kind", "StarRocksCluster"}}},
            {"requestResource", {{"group", "starrocks.com"}, {"version", "v1"}, {"resource", "starrocksclusters"}}},
            {"name", "sr"},
            {"namespace", "prod"},
            {"operation", "UPDATE"},
            {"userInfo", {{"username", "jane"}, {"uid", "u1"}, {"groups", {"dev", "system:authenticated"}}}},
            {"object", cluster(to)},
            {"oldObject", cluster(from)},
            {"dryRun", false},
            {"options", {{"kind", "PatchOptions"}, {"apiVersion", "meta.k8s.io/v1"}}}}}};
}

json changed(const char* pointer, const json& value) {
  json result = review();
  result[json::json_pointer(pointer)] = value;
  return result;
}

json without(const char* parent, const char* key) {
  json result = review();
  result[json::json_pointer(parent)].erase(key);
  return result;
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

bool certainly_unchanged(std::string_view body) {
  const std::optional<ReviewGlance> glance = ReviewGlancer().glance(body);
  return glance && glance->certainly_no_image_change;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

/// `escape` beginning at each of 64 places in turn, between letters.
std::string every_place(std::string_view escape) {
  std::string text;
  for (std::size_t letters = 0; letters < 64; ++letters) text += std::string(letters, 'x').append(escape);
  return text;
}

/// A review with a value that does not matter.
std::string skipped(const std::string& value) {
  return replaced(review().dump(), "\"operation\":", "\"future\":" + value + ",\"operation\":");
}

}  // namespace

TEST_CASE("a review is read as the API server sends it") {
  const Result<AdmissionRequest> request = parse_review(review("be:1", "be:2").dump());
  REQUIRE(request.ok());
  CHECK(request->api_version == "admission.k8s.io/v1");
  CHECK(request->uid == "705ab4f5-6393-11e8-b7cc-42010a800002");
  CHECK(request->kind == "StarRocksCluster");
  CHECK(request->group == "starrocks.com");
  CHECK(request->resource == "starrocksclusters");
  CHECK(request->subresource.empty());
  CHECK(request->name == "sr");
  CHECK(request->name_space == "prod");
  CHECK(request->operation == Operation::Update);
  CHECK(request->user.username == "jane");
  CHECK(request->user.groups == std::vector<std::string>{"dev", "system:authenticated"});
  CHECK_FALSE(request->dry_run);
  const auto kept = [](const std::string& be_image) {
    return json{
        {"metadata", {{"name", "sr"}, {"namespace", "prod"}, {"uid", "0b7e"}, {"generation", 3}}},
        {"spec",
         {{"starRocksFeSpec", {{"image", "starrocks/fe-ubuntu:3.5.1"}}}, {"starRocksBeSpec", {{"image", be_image}}}}}};
  };
  CHECK(request->object == kept("be:2"));
  CHECK(request->old_object == kept("be:1"));
  CHECK(request->other_changed_fields == 0);
}

TEST_CASE("of the objects the fields that count are kept, by kind") {
  const json metadata{{"name", "sr"},
                      {"uid", "u"},
                      {"resourceVersion", "7"},
                      {"deletionTimestamp", "2026-01-01T00:00:00Z"},
                      {"managedFields", {{{"manager", "x"}}}},
                      {"annotations", {{"starrocks.com/upgrade-hooks", "a"}, {"kubectl.kubernetes.io/last", "x"}}},
                      {"labels", {{"gate.starrocks.com/x", "1"}, {"app", "x"}}}};
  const json kept_metadata{{"name", "sr"},
                           {"uid", "u"},
                           {"resourceVersion", "7"},
                           {"deletionTimestamp", "2026-01-01T00:00:00Z"},
                           {"annotations", {{"starrocks.com/upgrade-hooks", "a"}}},
                           {"labels", {{"gate.starrocks.com/x", "1"}}}};
  const json hooks{{"predefined", {"recommended"}}, {"custom", {{"configMapName", "m"}}}};
  const json component{{"image", "i"}, {"upgradeHooks", hooks}, {"env", {{{"name", "A"}}}}};
  const json kept_component{{"image", "i"}, {"upgradeHooks", hooks}};
  const json preparation{{"enabled", true}, {"hooks", {{{"name", "a"}, {"command", "SHOW x"}}}}};
  struct Row {
    const char* name;
    const char* kind;
    const char* subresource;
    json object;
    json kept;
  };
  const Row rows[] = {
      {"a cluster",
       "StarRocksCluster",
       "",
       {{"spec", {{"starRocksCnSpec", component}, {"upgradePreparation", preparation}, {"serviceAccount", "s"}}},
        {"status", {{"phase", "running"}}}},
       {{"spec", {{"starRocksCnSpec", kept_component}, {"upgradePreparation", preparation}}}}},
      {"a warehouse",
       "StarRocksWarehouse",
       "",
       {{"spec", {{"template", component}, {"starRocksCluster", "sr"}}}},
       {{"spec", {{"template", kept_component}, {"starRocksCluster", "sr"}}}}},
      {"a status",
       "StarRocksCluster",
       "status",
       {{"spec", {{"upgradePreparation", preparation}}},
        {"status", {{"upgradePreparationStatus", {{"phase", "Running"}}}, {"starRocksFeStatus", {{"phase", "x"}}}}}},
       {{"status", {{"upgradePreparationStatus", {{"phase", "Running"}}}}}}},
      {"a ConfigMap",
       "ConfigMap",
       "",
       {{"data", {{"a.sql", "SHOW x"}}}, {"binaryData", {{"b", "AA=="}}}},
       {{"data", {{"a.sql", "SHOW x"}}}}},
      {"another kind", "Pod", "", {{"spec", {{"template", component}}}}, json::object()},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    json sent = review();
    sent["request"]["kind"]["kind"] = row.kind;
    sent["request"]["subResource"] = row.subresource;
    sent["request"]["object"] = row.object;
    sent["request"]["object"]["metadata"] = metadata;
    json kept = row.kept;
    kept["metadata"] = kept_metadata;
    const auto request = parse_review(sent.dump());
    REQUIRE(request.ok());
    CHECK(request->object == kept);
  }
}

TEST_CASE("the other fields that change are counted by field, whatever changes in them") {
  json many = json::array();
  for (int i = 0; i < 20; ++i) many.push_back({{"name", "V" + std::to_string(i)}});
  json shifted = many;
  shifted.insert(shifted.begin(), {{"name", "first"}});
  struct Row {
    const char* name;
    const char* field;
    json before;
    json after;
    int count;
  };
  const Row rows[] = {
      {"no other", "/starRocksBeSpec/replicas", 3, 3, 0},
      {"a number", "/starRocksBeSpec/replicas", 3, 4, 1},
      {"one more in front of twenty", "/starRocksFeSpec/feEnvVars", many, shifted, 1},
      {"hooks", "/starRocksFeSpec/upgradeHooks", {{"predefined", {"a"}}}, {{"predefined", {"b"}}}, 1},
      {"a field of the spec", "/serviceAccount", "a", "b", 1},
      {"a field that appears", "/serviceAccount", nullptr, "b", 1},
      {"a component that appears", "/starRocksCnSpec", nullptr, {{"replicas", 1}, {"image", "cn"}}, 3},
      {"a component that is no object", "/starRocksCnSpec", 1, 2, 1},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    json sent = review("be:1", "be:2");
    const json::json_pointer at(row.field);
    if (!row.before.is_null()) sent["request"]["oldObject"]["spec"][at] = row.before;
    sent["request"]["object"]["spec"][at] = row.after;
    const auto request = parse_review(sent.dump());
    REQUIRE(request.ok());
    CHECK(request->other_changed_fields == row.count);
  }
}

TEST_CASE("what may be absent or null is tolerated") {
  struct Row {
    const char* name;
    json body;
  };
  const Row rows[] = {
      {"v1beta1", changed("/apiVersion", "admission.k8s.io/v1beta1")},
      {"dryRun null", changed("/request/dryRun", nullptr)},
      {"dryRun absent", without("/request", "dryRun")},
      {"userInfo absent", without("/request", "userInfo")},
      {"groups null", changed("/request/userInfo/groups", nullptr)},
      {"name absent", without("/request", "name")},
      {"namespace absent", without("/request", "namespace")},
      {"group of the core", without("/request/resource", "group")},
      {"subResource null", changed("/request/subResource", nullptr)},
      {"object null", changed("/request/object", nullptr)},
      {"oldObject absent", without("/request", "oldObject")},
      {"unknown members", changed("/request/future", json::parse(R"({"a":[1,2.5,-3e300,null,true]})"))},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const Result<AdmissionRequest> request = parse_review(row.body.dump());
    if (!request) FAIL_CHECK(request.error().message);
  }
  CHECK(parse_review(changed("/request/object", nullptr).dump())->object.is_null());
  CHECK(parse_review(changed("/request/dryRun", true).dump())->dry_run);
  CHECK(parse_review(changed("/request/subResource", "status").dump())->subresource == "status");
  CHECK(parse_review(changed("/request/operation", "CREATE").dump())->operation == Operation::Create);
  CHECK(parse_review(changed("/request/operation", "DELETE").dump())->operation == Operation::Delete);
  CHECK(parse_review(changed("/request/operation", "CONNECT").dump())->operation == Operation::Connect);
}

TEST_CASE("anything else is invalid input that says where it is wrong") {
  struct Row {
    const char* name;
    std::string body;
    const char* because;
    int code = 400;
  };
  const std::string valid = review().dump();
  const Row rows[] = {
      {"empty", "", "not JSON"},
      {"cut off", valid.substr(0, valid.size() / 2), "not JSON"},
      {"two documents", valid + valid, "not JSON"},
      {"invalid UTF-8", replaced(valid, "jane", "j\xff"), "not JSON"},
      {"lone surrogate", replaced(valid, "jane", "\\ud800"), "not JSON"},
      {"number beyond any double", replaced(valid, "\"generation\":3", "\"generation\":1e999"),
       "a number that no double can hold"},
      {"list", "[]", "not a JSON object"},
      {"text", "\"x\"", "not a JSON object"},
      {"null", "null", "not a JSON object"},
      {"empty object", "{}", "apiVersion"},
      {"v2", changed("/apiVersion", "admission.k8s.io/v2").dump(), "apiVersion"},
      {"apiVersion as a number", changed("/apiVersion", 1).dump(), "apiVersion: expected a string"},
      {"another kind", changed("/kind", "Review").dump(), "kind: expected AdmissionReview"},
      {"no request", without("", "request").dump(), "request: expected an object"},
      {"request as a list", changed("/request", json::array()).dump(), "request: expected an object"},
      {"no uid", without("/request", "uid").dump(), "request.uid"},
      {"empty uid", changed("/request/uid", "").dump(), "request.uid"},
      {"uid as a number", changed("/request/uid", 1).dump(), "request.uid"},
      {"no operation", without("/request", "operation").dump(), "request.operation"},
      {"unknown operation", changed("/request/operation", "update").dump(), "request.operation"},
      {"no resource", without("/request", "resource").dump(), "request.resource.resource"},
      {"resource as a text", changed("/request/resource", "x").dump(), "request.resource: expected an object"},
      {"no kind", without("/request", "kind").dump(), "request.kind.kind"},
      {"dryRun as a text", changed("/request/dryRun", "true").dump(), "request.dryRun"},
      {"groups as a text", changed("/request/userInfo/groups", "a").dump(), "request.userInfo.groups"},
      {"group as a number", changed("/request/userInfo/groups", {1}).dump(), "request.userInfo.groups"},
      {"object as a list", changed("/request/object", json::array()).dump(), "request.object: expected an object"},
      {"oldObject as a text", changed("/request/oldObject", "x").dump(), "request.oldObject: expected an object"},
      {"too deep", nested(kReviewDepthMax + 1), "nested deeper"},
      {"very deep", nested(3'000'000), "nested deeper"},
      {"too large", std::string(kReviewBytesMax + 1, ' '), "larger than", 413},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const Result<AdmissionRequest> request = parse_review(row.body);
    CHECK_FALSE(request.ok());
    if (request.ok()) continue;
    CHECK(request.error().code == ErrorCode::InvalidInput);
    CHECK(request.error().peer_code == row.code);
    if (request.error().message.find(row.because) == std::string::npos) FAIL_CHECK(request.error().message);
  }
}

TEST_CASE("what is wrong is said without repeating the body") {
  const std::string body = "{\"request\":{\"object\":{\"data\":{\"password\":\"s3cret\"}}},,}";
  CHECK(parse_review(body).error().message.find("s3cret") == std::string::npos);
}

TEST_CASE("brackets inside strings are no depth") {
  const std::string text = std::string(500, '[') + "\\\"" + std::string(500, '{');
  CHECK(parse_review(replaced(review().dump(), "\"jane\"", '"' + text + '"')).ok());
}

TEST_CASE("the glance is certain only of an update that leaves every image as it is") {
  struct Row {
    std::string name;
    std::string body;
    bool certain;
  };
  const std::string valid = review().dump();
  const std::string changing = review("be:1", "be:2").dump();
  const Row rows[] = {
      {"no image changes", valid, true},
      {"pretty-printed", review().dump(4), true},
      {"other fields change", changed("/request/object/spec/starRocksBeSpec/replicas", 5).dump(), true},
      {"v1beta1", changed("/apiVersion", "admission.k8s.io/v1beta1").dump(), true},
      {"warehouse",
       replaced(valid, R"("resource":"starrocksclusters","version")", R"("resource":"starrockswarehouses","version")"),
       true},
      {"sidecar image changes", changed("/request/object/spec/starRocksBeSpec/sidecars", {{{"image", "x"}}}).dump(),
       true},
      {"escaped key, same image", replaced(valid, "\"image\":\"be:1\"", "\"im\\u0061ge\":\"be:1\""), false},
      {"escaped value, same image", replaced(valid, "\"image\":\"be:1\"", "\"image\":\"b\\u0065:1\""), false},
      {"component null on both sides",
       replaced(replaced(valid, "\"starRocksBeSpec\":", "\"starRocksCnSpec\":null,\"starRocksBeSpec\":"),
                "\"spec\":{\"starRocksBeSpec\"", "\"spec\":{\"starRocksCnSpec\":null,\"starRocksBeSpec\""),
       true},
      {"be image changes", changing, false},
      {"fe image changes", changed("/request/object/spec/starRocksFeSpec/image", "fe:2").dump(), false},
      {"cn image appears", changed("/request/object/spec/starRocksCnSpec", {{"image", "cn:1"}}).dump(), false},
      {"warehouse image changes", changed("/request/object/spec/template", {{"image", "cn:1"}}).dump(), false},
      {"change behind an escaped key", replaced(changing, "\"image\":\"be:2\"", "\"\\u0069mage\":\"be:2\""), false},
      {"change behind an escaped component", replaced(changing, "\"starRocksBeSpec\"", "\"starRocksB\\u0065Spec\""),
       false},
      {"image twice, the change last", replaced(valid, "\"image\":\"be:1\"", "\"image\":\"be:1\",\"image\":\"be:2\""),
       false},
      {"image twice, the change first", replaced(valid, "\"image\":\"be:1\"", "\"image\":\"be:2\",\"image\":\"be:1\""),
       false},
      {"image twice, once escaped",
       replaced(valid, "\"image\":\"be:1\"", "\"image\":\"be:1\",\"imag\\u0065\":\"be:2\""), false},
      {"component twice",
       replaced(valid, "\"starRocksBeSpec\":", "\"starRocksBeSpec\":{\"image\":\"x\"},\"starRocksBeSpec\":"), false},
      {"spec twice", replaced(valid, "\"spec\":", "\"spec\":{\"starRocksBeSpec\":{\"image\":\"x\"}},\"spec\":"), false},
      {"object twice", replaced(valid, "\"object\":", "\"object\":{},\"object\":"), false},
      {"oldObject twice", replaced(valid, "\"oldObject\":", "\"oldObject\":{},\"oldObject\":"), false},
      {"operation twice",
       replaced(valid, "\"operation\":\"UPDATE\"", "\"operation\":\"UPDATE\",\"operation\":\"UPDATE\""), false},
      {"request twice", replaced(valid, "\"request\":", "\"request\":{},\"request\":"), false},
      {"image null", changed("/request/object/spec/starRocksBeSpec/image", nullptr).dump(), false},
      {"image a number on both sides", replaced(replaced(valid, "\"be:1\"", "1"), "\"be:1\"", "1"), false},
      {"create", changed("/request/operation", "CREATE").dump(), false},
      {"delete", changed("/request/operation", "DELETE").dump(), false},
      {"status", changed("/request/subResource", "status").dump(), false},
      {"scale", changed("/request/subResource", "scale").dump(), false},
      {"another resource", changed("/request/resource/resource", "pods").dump(), false},
      {"another group", changed("/request/resource/group", "example.com").dump(), false},
      {"object null", changed("/request/object", nullptr).dump(), false},
      {"oldObject absent", without("/request", "oldObject").dump(), false},
      {"spec a list", changed("/request/object/spec", json::array()).dump(), false},
      {"object a list", changed("/request/object", json::array()).dump(), false},
      {"no uid", without("/request", "uid").dump(), false},
      {"another version", changed("/apiVersion", "admission.k8s.io/v2").dump(), false},
      {"another kind", changed("/kind", "Review").dump(), false},
      {"something behind", valid + "{}", false},
      {"cut off", valid.substr(0, valid.size() - 1), false},
      {"cut off in the middle", valid.substr(0, valid.size() / 2), false},
      {"empty", "", false},
      {"null", "null", false},
      {"a list", "[]", false},
      {"invalid UTF-8", replaced(valid, "jane", "j\xff"), false},
      {"3 MB", changed("/request/object/metadata/x", std::string(3u << 20, 'x')).dump(), true},
      {"nearly as deep as is read", skipped(nested(kReviewDepthMax - 4)), true},
      {"a level deeper", skipped(nested(kReviewDepthMax - 1)), false},
      {"a number that no double holds, where nobody looks", skipped("1e999"), false},
      {"wrong literal, where nobody looks", skipped("tru"), false},
      {"missing comma, where nobody looks", skipped("[1 2]"), false},
      {"wrong number, where nobody looks", skipped("01"), false},
      {"invalid UTF-8, where nobody looks", skipped("\"\xC3\x28\""), false},
      {"wrong escape, where nobody looks", skipped("\"\\q\""), false},
      {"half a surrogate pair, where nobody looks", skipped("\"\\ud800\""), false},
      {"control character, where nobody looks", skipped("\"a\nb\""), false},
      {"all escapes but surrogates, where nobody looks", skipped(R"(["\"","\\\"\\","\/\b\f\n\r\t","\u0041\uFFff"])"),
       true},
      {"an escape at each place of a vector", skipped("\"" + every_place("\\\"") + every_place("\\\\") + "\""), true},
      {"half an escape by a number", skipped("\"\\u00g1\""), false},
      {"a backslash outside texts", skipped("\\n"), false},
      {"a backslash behind a number", skipped("1\\n"), false},
      {"numbers", skipped("[0,-0,7,-12345678901234567,0.5,-10.25,1234567890.123456]"), true},
      {"a number longer than all parsers read alike", skipped("123456789012345678"), false},
      {"an exponent, which the full parser can judge", skipped("1e3"), false},
      {"a point without digits", skipped("1."), false},
      {"a minus without digits", skipped("-"), false},
      {"two values where one should be", skipped("\"a\"b"), false},
      {"a text behind a number", skipped("1\"b\""), false},
      {"a literal with a tail", skipped("truex"), false},
      {"brackets that do not match", skipped("{\"a\":[1}]"), false},
      {"a comma at the end of an object", skipped("{\"a\":1,}"), false},
      {"a comma at the end of a list", skipped("[1,]"), false},
      {"a key that is no text", skipped("{1:2}"), false},
      {"a key without a value", skipped("{\"a\"}"), false},
      {"empty ones, blanks between", skipped(" [ { } , [ ] , { \"a\" : [ 1 , { } ] } ] "), true},
      {"a second review behind it", valid + valid, false},
      {"a group that is no text", changed("/request/userInfo/groups", {1}).dump(), false},
      {"a name that is no text", changed("/request/name", 1).dump(), false},
      {"dryRun that is no flag", changed("/request/dryRun", "true").dump(), false},
      {"no kind of the object", without("/request", "kind").dump(), false},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(certainly_unchanged(row.body) == row.certain);
    if (!row.certain) continue;
    const Result<AdmissionRequest> request = parse_review(row.body);
    REQUIRE(request.ok());
    CHECK(image_changes(request->kind, request->old_object, request->object).empty());
  }
}

TEST_CASE("the glance reads what the answer needs, in any order of members, with buffers that are kept") {
  ReviewGlancer glancer;
  const std::string reordered =
      R"({"request":{"oldObject":{"spec":{"starRocksBeSpec":{"image":"b"}}},"object":{"spec":{"starRocksBeSpec":{"image":"b"}}},)"
      R"("subResource":"","operation":"UPDATE","kind":{"kind":"StarRocksCluster"},"resource":{"resource":"starrocksclusters","group":"starrocks.com"},"uid":"a-1"},)"
      R"("apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"})";
  for (int round = 0; round < 3; ++round) {
    const std::optional<ReviewGlance> small = glancer.glance(reordered);
    REQUIRE(small);
    CHECK(small->uid == "a-1");
    CHECK(small->api_version == "admission.k8s.io/v1beta1");
    CHECK(small->certainly_no_image_change);
    CHECK_FALSE(glancer.glance("{\"request\":").has_value());
    const std::optional<ReviewGlance> large =
        glancer.glance(changed("/request/object/metadata/x", std::string(100'000, 'x')).dump());
    REQUIRE(large);
    CHECK(large->certainly_no_image_change);
  }
}

TEST_CASE("the glance reads nothing behind the bytes that it is given") {
  // The page behind them is not to be touched.
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* const pages = ::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(pages != MAP_FAILED);
  char* const end = static_cast<char*>(pages) + page;
  REQUIRE(::mprotect(end, page, PROT_NONE) == 0);
  const std::string valid = review().dump();
  REQUIRE(valid.size() < page);
  ReviewGlancer glancer;
  for (std::size_t length = 0; length <= valid.size(); ++length) {
    char* const begin = end - length;
    std::memcpy(begin, valid.data(), length);
    const auto glance = glancer.glance({begin, length});
    CHECK(glance.has_value() == (length == valid.size()));
  }
  for (const std::string_view tail :
       {"{\"a\":t}", "{\"a\":-}", "{\"a\":1.}", "{\"a\":\"\\u}", "{}", "}", "{\"request\":{\"uid\":}}"}) {
    std::memcpy(end - tail.size(), tail.data(), tail.size());
    CHECK_FALSE(glancer.glance({end - tail.size(), tail.size()}));
  }
  ::munmap(pages, 2 * page);
}

TEST_CASE("whatever is done to a review, the glance is certain only of what the full parser accepts and leaves alone") {
  ReviewGlancer glancer;
  int certain = 0;
  int refused = 0;
  const auto check = [&](const std::string& body) {
    const std::optional<ReviewGlance> glance = glancer.glance(body);
    const Result<AdmissionRequest> request = parse_review(body);
    refused += request ? 0 : 1;
    if (!glance || !glance->certainly_no_image_change) return;
    ++certain;
    INFO(body);
    REQUIRE(request.ok());
    CHECK(request->uid == glance->uid);
    CHECK(request->api_version == glance->api_version);
    CHECK(request->operation == Operation::Update);
    CHECK(request->subresource.empty());
    CHECK(request->object.is_object());
    CHECK(request->old_object.is_object());
    CHECK(image_changes(request->kind, request->old_object, request->object).empty());
  };
  const std::string valid = review().dump();
  for (std::size_t length = 0; length < valid.size(); ++length) check(valid.substr(0, length));
  CHECK(certain == 0);
  const std::string_view pieces[] = {
      std::string_view("\0", 1),
      "\"",
      "\\",
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      " ",
      "0",
      "-",
      "1e999,",
      "\\u0061",
      "\\ud800",
      "\xff",
      "\xC3\xA9",
      "\"image\":\"be:2\",",
      "\"im\\u0061ge\":\"be:2\",",
      "\"spec\":{},",
      "\"spec\":null,",
      "\"uid\":\"x\",",
      "\"x\":1e999,",
      "\"object\":{\"spec\":{\"starRocksBeSpec\":{\"image\":\"be:2\"}}},",
      "\"starRocksBeSpec\":{\"image\":\"be:2\"},",
  };
  for (std::size_t at = 0; at < valid.size(); ++at) {
    check(std::string(valid).erase(at, 1));
    // A few of the pieces at each place, in turn.
    for (std::size_t turn = 0; turn < 5; ++turn) {
      const std::string_view piece = pieces[(at + turn * 6) % std::size(pieces)];
      check(std::string(valid).insert(at, piece));
      check(std::string(valid).replace(at, 1, piece));
    }
  }
  // Both sides were reached.
  CHECK(certain > 200);
  CHECK(refused > 1000);
}

TEST_CASE("the UID is saved from a review that cannot be read") {
  struct Row {
    const char* name;
    std::string body;
    const char* uid;
  };
  const std::string sent =
      R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"705ab4f5-6393","object":{"metadata":{"uid":"other")";
  const Row rows[] = {
      {"readable, wrong otherwise", changed("/request/operation", "x").dump(), "705ab4f5-6393-11e8-b7cc-42010a800002"},
      {"readable, uid behind the object", R"({"request":{"object":{"uid":"a"},"uid":"b"}})", "b"},
      {"readable, no uid", R"({"request":{"object":{"uid":"a"}}})", ""},
      {"readable, uid a number", R"({"request":{"uid":1}})", ""},
      {"cut off", sent, "705ab4f5-6393"},
      {"with blanks", "{ \"request\" : { \"uid\" : \"a-1\" ,", "a-1"},
      {"no request", "{\"uid\":\"a\",", ""},
      {"cut off within the uid", "{\"request\":{\"uid\":\"705ab4", ""},
      {"cut off before the uid", "{\"request\":{\"uid\":", ""},
      {"cut off behind the name", "{\"request\":{\"uid\"", ""},
      {"not a plausible uid", "{\"request\":{\"uid\":\"<script>\",", ""},
      {"too long", "{\"request\":{\"uid\":\"" + std::string(1000, 'a'), ""},
      {"too deep", "{\"request\":{\"uid\":\"a\",\"object\":" + nested(1000), "a"},
      {"too large", "{\"request\":{\"uid\":\"a\"}}" + std::string(kReviewBytesMax, ' '), "a"},
      {"empty", "", ""},
      {"a list", "[]", ""},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(salvage_uid(row.body) == row.uid);
  }
}

TEST_CASE("an allowing answer has the form that the API server verifies") {
  const json answer = json::parse(render("admission.k8s.io/v1beta1", "u-1", allow()));
  CHECK(answer == json{{"apiVersion", "admission.k8s.io/v1beta1"},
                       {"kind", "AdmissionReview"},
                       {"response", {{"uid", "u-1"}, {"allowed", true}}}});
  CHECK(json::parse(render("", "", allow()))["apiVersion"] == "admission.k8s.io/v1");
}

TEST_CASE("a denial carries code, reason and message") {
  AdmissionAnswer answer = deny(403, "UpgradePreparationRunning", "first line\nsecond line");
  answer.audit = {{"decision", "deny"}, {"phase", "Running"}};
  answer.json_patch = json::parse(R"([{"op":"remove","path":"/a"}])");
  const json response = json::parse(render("admission.k8s.io/v1", "u-1", answer))["response"];
  CHECK(response == json{{"uid", "u-1"},
                         {"allowed", false},
                         {"status",
                          {{"status", "Failure"},
                           {"code", 403},
                           {"reason", "UpgradePreparationRunning"},
                           {"message", "first line\nsecond line"}}},
                         {"auditAnnotations", {{"decision", "deny"}, {"phase", "Running"}}}});
}

TEST_CASE("a patch comes with its type, or not at all") {
  AdmissionAnswer answer = allow();
  answer.json_patch = json::parse(R"([{"op":"remove","path":"/a"}])");
  const json response = json::parse(render("", "u", answer))["response"];
  CHECK(response["patchType"] == "JSONPatch");
  CHECK(response["patch"] == "W3sib3AiOiJyZW1vdmUiLCJwYXRoIjoiL2EifV0=");
  for (const json& none : {json(), json::array()}) {
    answer.json_patch = none;
    const json bare = json::parse(render("", "u", answer))["response"];
    CHECK_FALSE(bare.contains("patch"));
    CHECK_FALSE(bare.contains("patchType"));
  }
}

TEST_CASE("warnings are cut and cleaned, other foreign text never breaks the answer") {
  AdmissionAnswer answer = deny(403, "R\xff", "m\xff\x01");
  answer.warnings = {"short", std::string(500, 'w'), "a\nb\xff"};
  answer.audit = {{"k", "v\xff"}};
  const json response = json::parse(render("v\xff", "u\xff", answer))["response"];
  CHECK(response["warnings"][0] == "short");
  CHECK(response["warnings"][1].get<std::string>().size() == kWarningMax);
  CHECK(response["warnings"][2] == "a b\xEF\xBF\xBD");
  CHECK(response["status"]["message"] == "m\xEF\xBF\xBD\x01");
  CHECK(response["auditAnnotations"]["k"] == "v\xEF\xBF\xBD");
  CHECK(response["uid"] == "u\xEF\xBF\xBD");
}
