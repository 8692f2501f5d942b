#include "server/app/probe.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "policy/json/json_member.hpp"
#include "policy/text/text.hpp"

namespace gate {
namespace {

using nlohmann::json;

/// For one FE: one that does not answer must not keep the others from being asked.
constexpr std::chrono::seconds kLoginTimeout{5};

Verdict verdict_of(const Result<json>& answer) {
  Verdict verdict;
  verdict.accepted = answer.ok();
  if (answer) {
    verdict.created = parse_time(text_member(member(*answer, "metadata"), "creationTimestamp"));
    return verdict;
  }
  verdict.text = answer.error().message;
  // An admission webhook's refusal is a 403 as well.
  verdict.forbidden = verdict.text.find("cannot create resource") != std::string::npos;
  return verdict;
}

CheckLine ask_frontend(const std::string& name_space, const std::string& cluster, ClusterAccess& clusters,
                       FrontendConnector& frontends, Deadline deadline) {
  CheckLine line{CheckResult::Failure, "FE of StarRocksCluster " + printable_text(name_space + "/" + cluster), {}};
  const auto access = clusters.frontend_access(name_space, cluster, deadline);
  if (!access) {
    line.message = printable_text(access.error().message);
    return line;
  }
  const auto session = frontends.connect(*access, deadline);
  if (!session) {
    line.message = printable_text(session.error().message);
    return line;
  }
  line.result = CheckResult::Good;
  line.message = "logged in as " + printable_text(access->username);
  return line;
}

}  // namespace

std::vector<CheckLine> probe_webhook(KubeClient& kube, const Clock& clock, const std::string& name_space,
                                     Deadline deadline) {
  const auto ask = [&](bool valid) {
    return verdict_of(kube.create_object(kube::kConfigMaps, name_space, probe_config_map(valid), deadline, true));
  };
  const auto valid = ask(true);
  std::vector<CheckLine> lines{judge_verdicts(valid, ask(false))};
  if (valid.created) lines.push_back(judge_clock(*valid.created, clock.wall_now(), "this pod's"));
  return lines;
}

std::vector<CheckLine> probe_frontends(KubeClient& kube, ClusterAccess& clusters, FrontendConnector& frontends,
                                       const Clock& clock, Deadline deadline) {
  std::vector<CheckLine> lines;
  const auto list = kube.list(kube::kClusters, {}, deadline, {}, only_identity());
  if (!list) {
    return {{CheckResult::Failure, "StarRocksClusters", "not listed: " + printable_text(list.error().message)}};
  }
  std::size_t asked = 0;
  for (const json& cluster : list->items) {
    if (asked == kProbedClustersMax || clock.steady_now() >= deadline) break;
    const json& metadata = member(cluster, "metadata");
    lines.push_back(ask_frontend(text_member(metadata, "namespace"), text_member(metadata, "name"), clusters, frontends,
                                 std::min(deadline, clock.steady_now() + kLoginTimeout)));
    ++asked;
  }
  if (asked < list->items.size()) {
    lines.push_back({CheckResult::NotChecked, "StarRocksClusters",
                     std::to_string(list->items.size() - asked) + " of " + std::to_string(list->items.size()) +
                         " were not asked: no time was left, or they are too many"});
  }
  // The gate may create Events, and a dry run of one tells the API server's time.
  const json event{{"apiVersion", "v1"},
                   {"kind", "Event"},
                   {"metadata", {{"name", "upgrade-gate-probe"}, {"namespace", "default"}}},
                   {"involvedObject", json::object()}};
  const auto dry = kube.create_object(kube::kEvents, "default", event, clock.steady_now() + kLoginTimeout, true);
  if (const auto verdict = verdict_of(dry); verdict.created) {
    lines.push_back(judge_clock(*verdict.created, clock.wall_now(), "the gate's"));
  }
  return lines;
}

}  // namespace gate
