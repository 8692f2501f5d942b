#include "policy/record/history.hpp"

#include <algorithm>
#include <utility>

namespace gate {
namespace {

const ImageChange* change_of(const Preparation& record, Component component) {
  const auto& changes = record.spec.changes;
  const auto found = std::find_if(changes.begin(), changes.end(),
                                  [&](const ImageChange& change) { return change.component == component; });
  return found == changes.end() ? nullptr : &*found;
}

std::optional<std::string> remembered_origin(const Preparation& record, Component component) {
  for (const auto& origin : record.spec.origins) {
    if (origin.component == component) return origin.image;
  }
  return std::nullopt;
}

/// The pods of a component were found to stand.
struct Standing {
  WallTime time;
  std::string image;  ///< Empty where the record does not tell it.
};

/// The last time.
std::optional<Standing> last_standing(const std::vector<Preparation>& records, const std::string& object_uid,
                                      Component component) {
  std::optional<Standing> last;
  for (const auto& record : records) {
    const ImageChange* change = change_of(record, component);
    if (record.spec.object.uid != object_uid || change == nullptr) continue;
    // An older record follows its pods to where a newer one sends them, and may be the last to end.
    const auto& status = record.status;
    if (status.rolled_out_time && (!last || *status.rolled_out_time > last->time)) {
      last = {*status.rolled_out_time, change->to};
    }
    if (status.rolled_back_time && (!last || *status.rolled_back_time > last->time)) {
      const auto& images = status.rolled_back_to;
      const auto image = std::find_if(images.begin(), images.end(),
                                      [&](const ComponentImage& each) { return each.component == component; });
      last = {*status.rolled_back_time, image == images.end() ? std::string{} : image->image};
    }
  }
  return last;
}

bool was_admitted(const Preparation& record) { return record.spec.bypass || record.status.admitted_time; }

/// A record that is not over sends the pods of `present`'s component to the image that the object has. It may be older
/// than one whose story has ended: a change that was taken back is admitted again by the record that prepared it.
bool is_on_its_way(const std::vector<Preparation>& records, const std::string& object_uid,
                   const ComponentImage& present) {
  return std::any_of(records.begin(), records.end(), [&](const Preparation& record) {
    const ImageChange* change = change_of(record, present.component);
    return record.spec.object.uid == object_uid && change != nullptr && change->to == present.image &&
           !story_ended(record) && moves_pods(record, {present});
  });
}

}  // namespace

bool story_ended(const Preparation& record) {
  return record.status.rolled_out_time.has_value() || record.status.rolled_back_time.has_value();
}

std::optional<std::string> origin_of(const std::vector<Preparation>& records, const std::string& object_uid,
                                     const ComponentImage& present) {
  const auto stood = last_standing(records, object_uid, present.component);
  const bool on_its_way = is_on_its_way(records, object_uid, present);
  std::optional<std::string> remembered;
  for (const auto& record : records) {
    if (record.spec.object.uid != object_uid) continue;
    const ImageChange* change = change_of(record, present.component);
    if (change == nullptr) continue;
    if (story_ended(record)) {
      if (on_its_way) continue;  // told by `stood`
      return std::nullopt;
    }
    const auto begun = record.spec.bypass ? record.creation_time : record.status.admitted_time;
    // The pods stood after the record was made: what it knew of before is over. Where they stood is told, or else is
    // what the record began from, unless it was admitted before.
    const bool stale = stood && record.creation_time && stood->time >= *record.creation_time;
    if (stale && !stood->image.empty()) {
      return stood->image == present.image ? std::nullopt : std::optional(stood->image);
    }
    if (begun && stood && stood->time > *begun) return std::nullopt;
    const auto inherited = stale ? std::nullopt : remembered_origin(record, present.component);
    if (was_admitted(record) || change->to == present.image) return inherited ? inherited : change->from;
    if (!remembered) remembered = inherited;
  }
  return remembered;
}

bool moves_pods(const Preparation& record, const std::vector<ComponentImage>& present) {
  const auto& status = record.status;
  if (record.spec.bypass || status.outcome == Outcome::Superseded) return false;
  switch (status.stage) {
    case Stage::RollingOut:
      return true;
    case Stage::Preparing:  // Also one that was admitted and then found to be no longer true.
    case Stage::Prepared:
      break;
    case Stage::Restoring:
    case Stage::Closed:
      return false;
  }
  if (status.admitted_time) return true;
  if (status.phase != Phase::Completed) return false;
  return std::any_of(present.begin(), present.end(), [&](const ComponentImage& now) {
    const ImageChange* change = change_of(record, now.component);
    return change != nullptr && now.image == change->to;
  });
}

std::vector<std::string> records_to_keep(const std::vector<Preparation>& records) {
  std::vector<std::string> kept;
  std::vector<std::pair<std::string, Component>> decided;  // of an object with this UID
  for (const auto& record : records) {                     // newest first
    if (is_open(record)) {
      for (const auto& name : {record.spec.supersedes, record.spec.candidate_of}) {
        if (!name.empty()) kept.push_back(name);
      }
    }
    if (!story_ended(record) && !was_admitted(record)) continue;
    bool decides = false;
    for (const auto& change : record.spec.changes) {
      const std::pair story{record.spec.object.uid, change.component};
      if (std::find(decided.begin(), decided.end(), story) != decided.end()) continue;
      decided.push_back(story);
      decides = true;
    }
    if (decides) kept.push_back(record.name);
  }
  return kept;
}

}  // namespace gate
