#include "policy/record/neighbours.hpp"

#include <algorithm>

#include "policy/hooks/frontend_setting.hpp"

namespace gate {
namespace {

/// People write keys and "TRUE" as they like, and FEs show them in one spelling.
bool same(std::string_view left, std::string_view right) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [&](char a, char b) { return lower(a) == lower(b); });
}

/// Whether a hook of it sets `key`: hooks may name an alias, what is captured has the FE's own name.
bool sets(const PreparationSpec& spec, std::string_view key) {
  return std::any_of(spec.hooks.begin(), spec.hooks.end(), [&](const Hook& hook) {
    const auto* setting = setting_of(hook);
    return setting != nullptr && hook.restore == RestoreMode::Captured &&
           same(canonical_setting(setting->key), canonical_setting(key));
  });
}

const CapturedSetting* find(const std::vector<CapturedSetting>& captured, std::string_view key) {
  // The last entry of a key is what was set last.
  const auto found =
      std::find_if(captured.rbegin(), captured.rend(), [&](const CapturedSetting& one) { return same(one.key, key); });
  return found == captured.rend() ? nullptr : &*found;
}

/// What `captured` gets from one entry of a record that has still to restore it.
void learn(std::vector<CapturedSetting>& captured, const CapturedSetting& other) {
  bool known = false;
  std::string before = other.value;
  for (auto& mine : captured) {
    if (!same(mine.key, other.key)) continue;
    // The other's value was taken for the one from before.
    const bool mistaken = same(mine.value, other.set_to) && !same(mine.set_to, other.value);
    if (mistaken) mine.value = other.value;
    before = mine.value;
    known = known || same(mine.set_to, other.set_to);
  }
  if (!known && !same(before, other.set_to)) captured.push_back({other.key, before, other.set_to});
}

bool newer(const Preparation& left, const Preparation& right) {
  if (left.creation_time != right.creation_time) return left.creation_time > right.creation_time;
  return left.spec.candidate_of == right.name;
}

}  // namespace

bool keeps_settings(const Preparation& record) {
  if (record.spec.bypass || record.spec.mode == PreparationMode::Verify) return false;
  if (record.status.outcome != Outcome::None) return false;
  switch (record.status.stage) {
    case Stage::Preparing:
    case Stage::Prepared:
    case Stage::RollingOut:
      return true;
    case Stage::Restoring:
    case Stage::Closed:
      break;
  }
  return false;
}

std::vector<CapturedSetting> whole_truth(const Preparation& mine, const std::vector<Preparation>& others) {
  auto captured = mine.status.captured;
  if (mine.spec.mode == PreparationMode::Verify) return captured;
  for (const auto& other : others) {
    if (!other.status.restore_pending) continue;
    // In the order in which they were set, so that what is wanted last stays last.
    auto learned = captured;
    for (const auto& one : other.status.captured) {
      if (sets(mine.spec, one.key)) learn(learned, one);
    }
    const auto added = learned.begin() + static_cast<std::ptrdiff_t>(captured.size());
    std::rotate(learned.begin(), added, learned.end());
    captured = std::move(learned);
  }
  return captured;
}

std::vector<CapturedSetting> left_to_restore(const Preparation& mine, const std::vector<Preparation>& others) {
  std::vector<CapturedSetting> left;
  for (auto captured : mine.status.captured) {
    const CapturedSetting* kept = nullptr;
    for (const auto& other : others) {
      if (kept == nullptr && keeps_settings(other)) kept = find(other.status.captured, captured.key);
    }
    if (kept != nullptr) {
      if (same(kept->set_to, captured.set_to)) continue;
      captured.value = kept->set_to;
    }
    left.push_back(std::move(captured));
  }
  return left;
}

std::vector<std::string> yielded_keys(const Preparation& mine, const std::vector<Preparation>& others) {
  std::vector<std::string> keys;
  for (const auto& captured : mine.status.captured) {
    for (const auto& other : others) {
      if (!keeps_settings(other) || !newer(other, mine)) continue;
      const auto* kept = find(other.status.captured, captured.key);
      if (kept != nullptr && !same(kept->set_to, captured.set_to)) keys.push_back(captured.key);
    }
  }
  return keys;
}

const Preparation* admitted_on_top(const Preparation& mine, const std::vector<Preparation>& others) {
  if (!mine.status.undo.empty()) return nullptr;  // to be done once the pods stand, not before
  for (const auto& other : others) {
    if (other.spec.object != mine.spec.object || other.status.stage != Stage::RollingOut) continue;
    if (!keeps_settings(other) || !other.status.admitted_time || !newer(other, mine)) continue;
    const bool same_pods =
        std::all_of(mine.spec.changes.begin(), mine.spec.changes.end(), [&](const ImageChange& change) {
          return std::any_of(other.spec.changes.begin(), other.spec.changes.end(),
                             [&](const ImageChange& theirs) { return theirs.component == change.component; });
        });
    const bool same_settings = std::all_of(
        mine.status.captured.begin(), mine.status.captured.end(),
        [&](const CapturedSetting& captured) { return find(other.status.captured, captured.key) != nullptr; });
    if (same_pods && same_settings) return &other;
  }
  return nullptr;
}

}  // namespace gate
