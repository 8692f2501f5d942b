// The lines of a script's log, which a real API server has only with a kubelet; and the Job's name.

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "server/kubernetes/kube_cluster_access.hpp"
#include "server/kubernetes/kube_script_jobs.hpp"
#include "test/fakes/quiet_log.hpp"
#include "test/server/kubernetes/fake_api_server.hpp"

namespace gate {

using nlohmann::json;
using test::answer_json;
using test::answer_status;

namespace {

Preparation make_record() {
  Preparation record;
  record.name = "sr-0123456789-1";
  record.name_space = "prod";
  record.uid = "record-uid";
  record.spec.cluster = "sr";
  return record;
}

const ScriptJob kJob{"warm", "pre_upgrade() { :; }", "pre_upgrade", 1, std::chrono::seconds(60)};

/// A failed Job with its pod, whose log is `log`; the FE's password is "hunter2".
ScriptJobState state_with_log(const std::string& log, int log_status, std::vector<std::string>& requests) {
  const std::string name = KubeScriptJobs::job_name(make_record(), kJob);
  const test::FakeApiServer server([&](const httplib::Request& request, httplib::Response& response) {
    const auto ends_with = [&](const std::string& end) { return request.path.ends_with(end); };
    if (ends_with("/pods/pod/log")) {
      if (log_status != 200) return answer_status(response, log_status, "BadRequest");
      response.set_content(log, "text/plain");
    } else if (ends_with("/pods")) {
      answer_json(response, {{"items",
                              {{{"metadata", {{"name", "pod"}, {"ownerReferences", {{{"uid", "job-uid"}}}}}},
                                {"status", {{"phase", "Failed"}}}}}}});
    } else if (ends_with("/jobs/" + name)) {
      answer_json(response,
                  {{"metadata", {{"name", name}, {"uid", "job-uid"}, {"ownerReferences", {{{"uid", "record-uid"}}}}}},
                   {"status", {{"conditions", {{{"type", "Failed"}, {"status", "True"}, {"reason", "Why"}}}}}}});
    } else if (ends_with("/starrocksclusters/sr")) {
      answer_json(response,
                  {{"spec", {{"starRocksFeSpec", {{"feEnvVars", {{{"name", "MYSQL_PWD"}, {"value", "hunter2"}}}}}}}}});
    } else {
      answer_status(response, 404, "NotFound");
    }
  });
  const auto client = server.client();
  const SystemClock clock;
  KubeClusterAccess access(*client, clock, test::quiet_log(),
                           {.frontend_address_override = FrontendAddress{"fe", 9030}});
  KubeScriptJobs jobs(*client, access, {"tools:1"});
  const auto state = jobs.run(make_record(), kJob, std::chrono::steady_clock::now() + std::chrono::seconds(20));
  REQUIRE_MESSAGE(state.ok(), (state.ok() ? "" : state.error().message));
  requests = server.requests();
  return *state;
}

}  // namespace

TEST_CASE("the last lines of the log are in the detail: cleaned, bounded, without the password") {
  struct Row {
    const char* name;
    std::string log;
    int status;
    std::string ends_with;
  };
  std::string wide;
  for (int i = 0; i < 2000; ++i) wide += "\xE2\x82\xAC";
  for (const Row& row : {
           Row{"lines", "one\ntwo\r\n", 200, "last output: one | two"},
           Row{"control characters", "a\x1b[31mb\tc\n", 200, "last output: a [31mb c"},
           Row{"the password", "password=hunter2\nhunter2hunter2\n", 200, "last output: password=*** | ******"},
           Row{"the end of a long line", std::string(9000, 'x') + "end\n", 200, "xxxend"},
           Row{"wide characters", wide + "end\n", 200,
               "\xE2\x82\xAC"
               "end"},
           Row{"bytes that are no text", std::string(5000, '\xff') + "end", 200,
               "\xEF\xBF\xBD"
               "end"},
           Row{"nothing written", "", 200, "failed: Why; its pod failed: "},
           Row{"no log to be had", "", 400, "failed: Why; its pod failed: "},
       }) {
    INFO(row.name);
    std::vector<std::string> requests;
    const auto state = state_with_log(row.log, row.status, requests);
    CHECK(state.phase == ScriptJobState::Phase::Failed);
    // How it ended comes last: what is kept of a text that is too long.
    const bool told = row.log.empty() ? state.detail.ends_with(row.ends_with)
                                      : state.detail.find(row.ends_with + "; Job sr-warm-") != std::string::npos;
    CHECK_MESSAGE(told, state.detail);
    CHECK(state.detail.find("hunter2") == std::string::npos);
    CHECK(state.detail.size() <= 1024);
    const auto asked = std::find_if(requests.begin(), requests.end(),
                                    [](const std::string& request) { return request.find("/log") != request.npos; });
    REQUIRE(asked != requests.end());
    CHECK(*asked == "GET /api/v1/namespaces/prod/pods/pod/log?tailLines=8&limitBytes=16384");
  }
}

TEST_CASE("the pods that are listed are the Job's") {
  std::vector<std::string> requests;
  (void)state_with_log("", 200, requests);
  const std::string label = "labelSelector=job-name%3D" + KubeScriptJobs::job_name(make_record(), kJob);
  CHECK(std::any_of(requests.begin(), requests.end(),
                    [&](const std::string& request) { return request.find(label) != request.npos; }));
}

TEST_CASE("a Job that runs is deleted with its pods; trouble is told, so that it is tried again") {
  struct Row {
    const char* name;
    int get;
    int remove;
    std::optional<ErrorCode> error;
    int deletions;
  };
  for (const Row& row :
       {Row{"it runs", 200, 200, std::nullopt, 1}, Row{"it is gone", 404, 200, std::nullopt, 0},
        Row{"another was quicker", 200, 404, std::nullopt, 1}, Row{"trouble", 200, 503, ErrorCode::Unavailable, 1},
        Row{"no right to", 200, 403, ErrorCode::PermissionDenied, 1}}) {
    INFO(row.name);
    const test::FakeApiServer server([&](const httplib::Request& request, httplib::Response& response) {
      const int status = request.method == "DELETE" ? row.remove : row.get;
      if (status != 200) return answer_status(response, status, status == 404 ? "NotFound" : "Trouble");
      answer_json(response, {{"metadata", {{"uid", "job-uid"}, {"ownerReferences", {{{"uid", "record-uid"}}}}}},
                             {"status", {{"active", 1}}}});
    });
    const auto client = server.client();
    const SystemClock clock;
    KubeClusterAccess access(*client, clock, test::quiet_log(),
                             {.frontend_address_override = FrontendAddress{"fe", 9030}});
    KubeScriptJobs jobs(*client, access, {"tools:1"});
    const auto removed = jobs.remove(make_record(), kJob, std::chrono::steady_clock::now() + std::chrono::seconds(20));
    CHECK(removed.ok() == !row.error.has_value());
    if (!removed && row.error) CHECK(removed.error().code == *row.error);
    const auto requests = server.requests();
    const std::string deletion = "DELETE /apis/batch/v1/namespaces/prod/jobs/" +
                                 KubeScriptJobs::job_name(make_record(), kJob) + "?propagationPolicy=Background";
    CHECK(std::count(requests.begin(), requests.end(), deletion) == row.deletions);
  }
}

TEST_CASE("a Job's name is its record's, hook's, function's and attempt's alone, and fits a label") {
  const Preparation record = make_record();
  Preparation recreated = record;
  recreated.uid = "another";
  Preparation long_name = record;
  long_name.spec.cluster = std::string(200, 'c');
  Preparation odd_name = record;
  odd_name.spec.cluster.clear();
  std::set<std::string> names;
  const auto add = [&](const Preparation& of, const ScriptJob& job) {
    const std::string name = KubeScriptJobs::job_name(of, job);
    CHECK(name == KubeScriptJobs::job_name(of, job));
    CHECK(name.size() <= 63);
    CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos);
    CHECK(name.front() != '-');
    CHECK(names.insert(name).second);
  };
  const std::chrono::seconds time(60);
  add(record, kJob);
  add(record, {"warm", "other text", "post_upgrade", 1, time});
  add(record, {"warm", "pre_upgrade() { :; }", "pre_upgrade", 2, time});
  add(record, {"Warm", "pre_upgrade() { :; }", "pre_upgrade", 1, time});
  add(record, {"../x y\xC3\xA9", "", "pre_upgrade", 1, time});
  add(record, {std::string(300, 'h'), "", "pre_upgrade", 1, time});
  add(recreated, kJob);
  add(long_name, kJob);
  add(odd_name, {"--", "", "pre_upgrade", 1, time});
  CHECK(names.count("sr-warm-" + KubeScriptJobs::job_name(record, kJob).substr(8)) == 1);
}

}  // namespace gate
