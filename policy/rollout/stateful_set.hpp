#pragma once
// The operator's writes of StatefulSets, and how one is answered so that nothing rolls before its time.
//
// The operator compares only its hash annotation with what it wants, and computes what to delete from the annotation of
// what it applied last. A held write is therefore answered with the old template, a hash that matches nothing and the
// old last-applied *together*: from the second on the operator's writes are no-ops that the API server answers with
// 200, it tries again at each pass, and the pass after the hold applies everything, removed fields included. Nothing
// has to be stored for that.

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "policy/record/preparation.hpp"
#include "policy/review/admission_review.hpp"
#include "policy/versions/image_change.hpp"

namespace gate {

/// On a StatefulSet that is held or steered. The webhook's matchConditions let every update of such a one through to
/// the gate, not only those that change the image. Gone once the StatefulSet is let go.
inline constexpr std::string_view kHeldAnnotation = "gate.starrocks.com/held";

/// Beside it: the partition that the gate put there, while it is there. An operator whose updateStrategy names none
/// sends the stored one back, which is nobody's wish.
inline constexpr std::string_view kPartitionAnnotation = "gate.starrocks.com/partition";

enum class SetVerdict {
  Pass,   ///< As written.
  Hold,   ///< Everything that decides what pods run stays as it is. Replicas, labels and the rest pass.
  Steer,  ///< The template passes; pods whose ordinal is below the partition stay as they are.
};

/// What is to become of the writes of one StatefulSet.
struct SetOrder {
  SetVerdict verdict = SetVerdict::Pass;
  int partition = 0;  ///< Of Steer, 1 or more: with 0 there is nothing to keep back, which is Pass.
  friend bool operator==(const SetOrder&, const SetOrder&) = default;
};

/// The few fields that a write is judged by.
struct StatefulSetWrite {
  Component component = Component::Frontend;
  ObjectRef owner;  ///< The StarRocksCluster or StarRocksWarehouse.
  std::string name;
  std::string old_image;  ///< Of the main container: what the StatefulSet has.
  std::string new_image;  ///< What is being written.
  bool marked = false;    ///< kHeldAnnotation is on the stored object.
};

/// A StatefulSet of a changed component as it is now.
struct StatefulSetState {
  Component component = Component::Frontend;
  std::string name;
  bool exists = false;
  bool observed = false;  ///< The controller has seen its present spec.
  std::string image;      ///< Of the template's main container.
  bool on_delete = false;
  int partition = 0;
  int replicas = 0;  ///< Wanted.
  int updated = 0;   ///< Pods of the present template.
  int ready = 0;
  int existing = 0;
};

/// N of the pod "<StatefulSet>-N" that the name of a database's node begins with, before a "." or ":"; nothing: it is
/// no pod of this one.
[[nodiscard]] std::optional<int> ordinal_in(const StatefulSetState& set, std::string_view node);

/// As the operator names the StatefulSet of a record's component.
[[nodiscard]] std::string stateful_set_name(const PreparationSpec& spec, Component component);
/// `object` as the API server has it; null: there is none.
[[nodiscard]] StatefulSetState stateful_set_state(const PreparationSpec& spec, Component component,
                                                  const nlohmann::json& object);

/// Nothing when it is no StatefulSet of the operator's: another owner, an unknown component. Objects of any shape.
[[nodiscard]] std::optional<StatefulSetWrite> stateful_set_write(const nlohmann::json& old_object,
                                                                 const nlohmann::json& object);

/// Allows every write, with the patch that makes it follow `order`.
/// - Hold: template, updateStrategy and last-applied annotation as stored, no valid hash, and the mark. A write of
///   others than the operator that does not change the image is not held (a restart by hand, a label).
/// - Steer: partition = the larger of the order's and that which is being written; while that is not what was written,
///   no valid hash; the mark. `updateStrategy: OnDelete` is left alone, with a warning.
/// - Pass: as written, without the mark; a partition of the gate's that is written back becomes 0, and no valid hash.
/// - In each, a last-applied annotation that claims what the object does not get (all of it, while it is held) does not
///   replace the stored one: the next three-way merge would take it as done. Nor does one with another resourceVersion
///   only.
[[nodiscard]] AdmissionAnswer answer_write(const nlohmann::json& old_object, const nlohmann::json& object,
                                           const SetOrder& order);

}  // namespace gate
