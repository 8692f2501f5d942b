#include "server/kubernetes/frontend_pods.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "policy/text/text.hpp"

namespace gate {
namespace {

using nlohmann::json;

const Projection& of_slice() {
  static const Projection kSlice =
      keep_members("", {keep_elements("endpoints", keep_members("", {keep_all("addresses")}))});
  return kSlice;
}

void add_addresses(const json& slice, std::set<std::string>& out) {
  for (const json& endpoint : slice.value("endpoints", json::array())) {
    if (!endpoint.is_object()) continue;
    for (const json& address : endpoint.value("addresses", json::array())) {
      if (address.is_string()) out.insert(address.get<std::string>());
    }
  }
}

const std::string* missing(const std::vector<std::string>& addresses, const std::set<std::string>& of) {
  const auto found =
      std::find_if(addresses.begin(), addresses.end(), [&](const std::string& one) { return !of.contains(one); });
  return found == addresses.end() ? nullptr : &*found;
}

}  // namespace

Status FrontendPods::judge(const std::string& name_space, const std::string& cluster,
                           const std::vector<std::string>& addresses, Deadline deadline) {
  const std::pair key(name_space, cluster);
  std::optional<Seen> seen;
  {
    const auto known = seen_.lock();
    if (const auto found = known->find(key); found != known->end()) seen = found->second;
  }
  const auto age = seen ? clock_.steady_now() - seen->at : SteadyTime::duration::max();
  if (!seen || age >= kKnownFor || (age >= kAskAgainAfter && missing(addresses, seen->addresses) != nullptr)) {
    auto asked = ask(name_space, cluster, deadline);
    if (!asked) {
      return Error{ErrorCode::Unavailable,
                   "whether the FE's address is that of one of its pods cannot be asked: " + asked.error().message};
    }
    seen = std::move(*asked);
  }
  const auto* stranger = missing(addresses, seen->addresses);
  if (stranger == nullptr) return Ok{};
  return Error{ErrorCode::Unavailable, clean_text(*stranger, 100) +
                                           " is not the address of a pod behind the Services " + cluster +
                                           "-fe-service and " + cluster + "-fe-search, or not yet"};
}

Result<FrontendPods::Seen> FrontendPods::ask(const std::string& name_space, const std::string& cluster,
                                             Deadline deadline) {
  KubeClient::ListRequest request;
  request.resource = kube::kEndpointSlices;
  request.name_space = name_space;
  request.label_selector = "kubernetes.io/service-name in (" + cluster + "-fe-service," + cluster + "-fe-search)";
  request.keep = &of_slice();
  Seen seen;
  request.on_item = [&](const json& slice) { add_addresses(slice, seen.addresses); };
  if (auto listed = client_.list_each(request, deadline); !listed) return listed.error();
  seen.at = clock_.steady_now();
  const auto known = seen_.lock();
  if (known->size() >= kClustersMax) known->clear();
  (*known)[{name_space, cluster}] = seen;
  return seen;
}

}  // namespace gate
