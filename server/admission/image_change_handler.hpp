#pragma once
// One image change: gather the facts, decide, carry out the effect, until the answer is final.

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "policy/decision/decision.hpp"
#include "policy/review/admission_review.hpp"
#include "server/admission/admission_peers.hpp"

namespace gate {

/// Reads hooks, and each ConfigMap that they are in once. Not thread safe: one for a request.
class HookConfigurationReader {
 public:
  /// The peers and the rules outlive the reader. Blocks until `deadline` at most, in all calls together. In a dry run
  /// what the same bundle may bring is a warning (HookSources::dry_run).
  HookConfigurationReader(const AdmissionPeers& peers, const HookRules& rules, std::string name_space,
                          Deadline deadline, bool dry_run)
      : peers_(peers), rules_(rules), name_space_(std::move(name_space)), deadline_(deadline), dry_run_(dry_run) {}

  /// The hooks of `object` for `changes`, with the ConfigMaps as they were when they were first asked for.
  [[nodiscard]] HookConfiguration read(const nlohmann::json& object, std::vector<std::string> default_hooks,
                                       const LedRollout& rollout_defaults, const std::vector<ImageChange>& changes);

 private:
  const AdmissionPeers& peers_;
  const HookRules& rules_;
  const std::string name_space_;
  const Deadline deadline_;
  const bool dry_run_;
  std::map<std::string, ConfigMapText> config_maps_;
  std::set<std::string> missing_;
};

/// For one request. Not thread safe.
class ImageChangeHandler {
 public:
  /// All work ends at `deadline`, which is the review's own. The arguments outlive the handler.
  ImageChangeHandler(const AdmissionPeers& peers, const AdmissionServiceOptions& options,
                     const AdmissionRequest& request, Deadline deadline);

  [[nodiscard]] AdmissionAnswer handle();

 private:
  [[nodiscard]] bool gather_configuration();
  void gather_facts();
  void gather_records();
  void take(Result<std::vector<Preparation>> records);
  [[nodiscard]] bool rests_on_memory(const Decision& decision) const;
  void confirm(const Decision& decision);
  void read_stored();
  void note_store(const Error& error);
  [[nodiscard]] AdmissionAnswer decide_in_rounds();
  void carry_out(const Decision& decision);
  void ask_permission();
  void wait_for(const std::string& name);
  [[nodiscard]] const Preparation* record_of(const std::string& name) const;
  /// The object has images that a record prepared, and this change replaces them before its runner has seen them:
  /// without a note it would not know that pods have moved. Best effort.
  void note_what_is_replaced();
  [[nodiscard]] Status note_admission(const std::string& name, const std::vector<ComponentImage>& present);
  [[nodiscard]] Result<Preparation> create(const Decision& decision);
  [[nodiscard]] AdmissionAnswer record_bypass(const Decision& decision);
  void start(const Decision& decision);
  void reopen(const std::string& name);
  /// At most `share` from now, and never beyond the review's deadline.
  [[nodiscard]] Deadline within(std::chrono::milliseconds share) const;
  /// The cluster is known as it was stored a moment ago.
  [[nodiscard]] bool knows_cluster() const;
  /// For all questions to the FEs until the next pause.
  [[nodiscard]] std::shared_ptr<FrontendInquiry> inquiry();

  const AdmissionPeers& peers_;
  const AdmissionServiceOptions& options_;
  const AdmissionRequest& request_;
  const Deadline deadline_;
  const Deadline wait_until_;
  nlohmann::json stored_;  ///< Null until it is read, and where it is not.
  SteadyTime stored_counts_until_{};
  AdmissionFacts facts_;
  EffectsLeft left_;
  std::shared_ptr<FrontendInquiry> inquiry_;
  std::string created_;              ///< Name of the record that this request has created; empty: none.
  std::set<std::string> confirmed_;  ///< Names of records that were read since they were last gathered.
  bool all_confirmed_ = false;
};

}  // namespace gate
