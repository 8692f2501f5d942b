#include "server/plan/deployed_elsewhere.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "policy/json/json_member.hpp"
#include "policy/text/text.hpp"
#include "policy/versions/image_change.hpp"

namespace gate {
namespace {

using nlohmann::json;

struct Deployer {
  std::string_view group;  ///< With the slash.
  std::string_view kind;
  std::string_view render;
};

constexpr std::string_view kChart = "helm template NAME CHART -f VALUES | upgrade-gate plan -";
constexpr std::string_view kOverlay = "kubectl kustomize FOLDER | upgrade-gate plan -";
constexpr std::string_view kApplication = "argocd app manifests NAME | upgrade-gate plan -";
constexpr std::array kDeployers{Deployer{"helm.toolkit.fluxcd.io/", "HelmRelease", kChart},
                                Deployer{"helm.cattle.io/", "HelmChart", kChart},
                                Deployer{"helm.crossplane.io/", "Release", kChart},
                                Deployer{"kustomize.toolkit.fluxcd.io/", "Kustomization", kOverlay},
                                Deployer{"argoproj.io/", "Application", kApplication},
                                Deployer{"argoproj.io/", "ApplicationSet", kApplication}};

/// The kind of the first object of ours in `value`; "" for none. As deep as the reader lets values be.
std::string gated_kind_in(const json& value) {
  if (value.is_object()) {
    const auto kind = text_member(value, "kind");
    const bool ours = kind == kClusterKind || kind == kWarehouseKind;
    if (ours && text_member(value, "apiVersion").starts_with("starrocks.com/")) return kind;
  }
  if (!value.is_structured()) return "";
  for (const auto& part : value) {
    if (auto found = gated_kind_in(part); !found.empty()) return found;
  }
  return "";
}

}  // namespace

std::string not_judged_of(const json& object) {
  const auto kind = text_member(object, "kind");
  const auto name = text_member(member(object, "metadata"), "name");
  const auto who = clean_text(kind, 63) + (name.empty() ? "" : " " + clean_text(name, 63));
  if (const auto inside = gated_kind_in(object); !inside.empty()) {
    return "the " + inside + " inside of " + who + ": want it as a document of its own";
  }
  const auto api_version = text_member(object, "apiVersion");
  const auto deployer = std::find_if(kDeployers.begin(), kDeployers.end(), [&](const Deployer& known) {
    return known.kind == kind && api_version.starts_with(known.group);
  });
  if (deployer == kDeployers.end()) return "";
  return "what " + who + " deploys: want it rendered, " + std::string(deployer->render);
}

}  // namespace gate
