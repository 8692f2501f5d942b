#pragma once
// Leading a rollout: which components may roll, pod by pod, by what the StatefulSets and the database show.
// Pure: the record says how far it has come, an observation what is there, and the answer is the
// record's next progress. Written before it is acted on, so that a kill at any moment costs a repetition of the same
// look.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/record/preparation.hpp"
#include "policy/rollout/rollout.hpp"
#include "policy/rollout/stateful_set.hpp"

namespace gate {

struct RolloutObservation {
  WallTime now{};
  bool back = false;  ///< The object has the images that the record's pods came from; else those that it leads to.
  std::vector<StatefulSetState> sets;
  /// Nodes of a changed component that came back new (nodes_renewed); empty: the database could not be asked.
  std::optional<std::map<Component, int>> renewed;
  std::string unwell;  ///< The first thing of the health list that does not hold, or could not be read; "" when all do.
  std::string resume;  ///< The resume annotation; "" when there is none.
  std::string ahead;   ///< Of a turn that is held: rolls_before().
  std::string leading_frontend;  ///< Name of the FE that leads, as the FEs have it; "" where none was seen.
};

/// A led rollout under a hold whose preparation failed, closed or not: nothing of it rolls, and the next attempt comes
/// by itself as long as the object has its images.
[[nodiscard]] bool tried_again(const Preparation& record);

/// What has to roll before the turn of `mine` that is held now: a turn of another record of the same database, of a
/// cluster and its warehouses, that goes the same way and has components that come earlier. "" when nothing. Only
/// records whose images are on their objects count: of others nobody knows whether they come. `others`: open ones, and
/// those that are tried_again() where the caller saw the images.
[[nodiscard]] std::string rolls_before(const Preparation& mine, const std::vector<Preparation>& others);

/// Something to tell as a Kubernetes Event.
struct TurnEvent {
  bool warning = false;
  std::string reason;  ///< CamelCase
  std::string message;
};

struct TurnMove {
  RolloutProgress progress;  ///< To be stored when it differs, before anything else is done.
  std::vector<TurnEvent> events;
  bool push_image = false;  ///< Ask every FE for an image of its metadata; then store progress.image_pushed.
};

/// The image that the pods of a changed component go back to: not that of a target before it which they never ran
/// completely.
[[nodiscard]] const std::string& way_back(const PreparationSpec& spec, const ImageChange& change);

/// One turn for each changed component, all Held: an upgrade rolls BE, CN, warehouse, FE; a downgrade (any component
/// that goes to a lower version) the other way round.
[[nodiscard]] std::vector<Turn> plan_turns(const PreparationSpec& spec);

/// The step that follows from what is seen.
/// - A step is over when the StatefulSets have every pod from the partition on new and all pods ready, as many nodes of
///   the component came back new, and the health list holds, in as many readings in a row as the record asks for.
/// - One that takes longer than its time is Paused, until the resume annotation has another value.
/// - Before the first FE of an upgrade restarts, after other components rolled, every FE is asked for an image.
/// - An FE that leads and whose pod is not the last to restart is told of: one election more.
/// - Going back: what never moved is Done; what moved goes back whole, the last turn first. It waits for StatefulSets
///   alone and for no longer than a step's time: the way back is barred by nothing.
[[nodiscard]] TurnMove next_move(const Preparation& record, const RolloutObservation& seen);

/// How many nodes of `component` are alive, have another start time than nodes_before knows, and no version that
/// contradicts the new image's tag.
[[nodiscard]] int nodes_renewed(const Preparation& record, Component component, const std::vector<DatabaseNode>& nodes);

/// The rollout took longer than it may: pods that are not new yet stay as they are until somebody decides.
[[nodiscard]] bool leaves_held(const Preparation& record);
/// What there is to do then. The annotations count before the fields and the gate's defaults.
inline constexpr std::string_view kHowToLetGo =
    "apply the old images, or, to release all pods at once, annotate the object with "
    "starrocks.com/upgrade-rollout=operator and starrocks.com/upgrade-admission=refuse";

/// What the gate answers to a write of a StatefulSet. `records` are those of the cluster, newest first; `asked`: its
/// owner asks for a led rollout now. An image that no record lets go is held where that was asked for: also that of a
/// target which a newer one took the place of, while an operator still writes it. `present`: the images that the owner
/// has, where they are known. Back to where pods came from: what any record that came from there holds is held (ADR
/// 136). A rollout that was let go for images of somebody else's, and whose own are all there again, is held until its
/// leader has seen that; and so is the stored image while the owner has another one.
[[nodiscard]] SetOrder order_of(const StatefulSetWrite& write, const std::vector<Preparation>& records, bool asked,
                                const std::vector<ComponentImage>& present = {});

}  // namespace gate
