#pragma once
// The parts of an installation that live in the cluster's own objects, and vanish with a careless apply: webhook
// configurations and CRDs. Pure; `upgrade-gate check` and the serving gate judge by the same rules.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "policy/json/json_projection.hpp"

namespace gate {

enum class WebhookKind { Validating, Mutating };

/// Why the configuration (null: there is none) does not make the API server call the gate in `gate_namespace`, with
/// what to do; "" when it does. An empty namespace is that of a gate outside of the cluster: any is right.
[[nodiscard]] std::string fault_of_webhooks(const nlohmann::json& configuration, WebhookKind kind,
                                            std::string_view gate_namespace);

/// Why the MutatingWebhookConfiguration (null: there is none) does not keep back what a led rollout holds, with what
/// then happens; "" when it does. That leading was never installed is a fault here, too: only who reads it twice can
/// tell.
[[nodiscard]] std::string fault_of_rollout_webhook(const nlohmann::json& configuration,
                                                   std::string_view gate_namespace);

/// Why the CRD upgradepreparations.gate.starrocks.com (null: there is none) does not hold what this program writes.
[[nodiscard]] std::string fault_of_record_crd(const nlohmann::json& crd);

/// Why the CRD starrocksclusters.starrocks.com (null: there is none) does not keep the gate's fields: an upgrade of the
/// operator's CRD drops them silently. Annotations need none of them.
[[nodiscard]] std::string fault_of_cluster_crd(const nlohmann::json& crd);

/// Why the CRD starrockswarehouses.starrocks.com does not keep the gate's field, by which the operator goes on at each
/// step of a led rollout.
[[nodiscard]] std::string fault_of_warehouse_crd(const nlohmann::json& crd);

/// What the functions above read of an object: an operator's CRD alone is a megabyte.
[[nodiscard]] const Projection& webhooks_for_judging();
[[nodiscard]] const Projection& crd_for_judging();

}  // namespace gate
