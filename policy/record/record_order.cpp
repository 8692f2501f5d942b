#include "policy/record/record_order.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace gate {
namespace {

using Records = std::vector<Preparation>;

bool names(const std::string& link, const Preparation& record) { return !link.empty() && link == record.name; }

bool starts_where_ends(const Preparation& one, const Preparation& other) {
  return std::any_of(one.spec.changes.begin(), one.spec.changes.end(), [&](const ImageChange& mine) {
    return std::any_of(other.spec.changes.begin(), other.spec.changes.end(), [&](const ImageChange& before) {
      return mine.component == before.component && mine.from == before.to;
    });
  });
}

/// What `one` itself says, of records of one object and one second.
bool says_newer(const Preparation& one, const Preparation& other) {
  if (names(one.spec.supersedes, other) || names(one.spec.candidate_of, other)) return true;
  if (names(other.spec.supersedes, one) || names(other.spec.candidate_of, one)) return false;
  if (one.spec.changes == other.spec.changes && one.spec.hooks == other.spec.hooks) {
    return one.spec.attempt > other.spec.attempt;
  }
  return starts_where_ends(one, other) && !starts_where_ends(other, one);
}

/// Quadratic in the records of one object within one second, whose number the decision bounds (kNewRecordsMax).
void sort_one_second(Records::iterator begin, Records::iterator end) {
  const auto size = static_cast<std::size_t>(end - begin);
  std::vector<std::size_t> newer(size, 0);  // of those left: how many say that they are newer than this one
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      if (i != j && says_newer(begin[static_cast<std::ptrdiff_t>(j)], begin[static_cast<std::ptrdiff_t>(i)])) {
        ++newer[i];
      }
    }
  }
  Records sorted;
  sorted.reserve(size);
  std::vector<bool> taken(size, false);
  while (sorted.size() < size) {
    // The first where nobody is without: a circle of claims, which only a hand could write.
    std::size_t next = size;
    for (std::size_t i = 0; i < size; ++i) {
      if (!taken[i] && (next == size || (newer[next] > 0 && newer[i] == 0))) next = i;
    }
    taken[next] = true;
    const auto& chosen = begin[static_cast<std::ptrdiff_t>(next)];
    for (std::size_t i = 0; i < size; ++i) {
      if (!taken[i] && says_newer(chosen, begin[static_cast<std::ptrdiff_t>(i)])) --newer[i];
    }
    sorted.push_back(chosen);
  }
  std::move(sorted.begin(), sorted.end(), begin);
}

}  // namespace

void sort_newest_first(Records& records) {
  const auto place = [](const Preparation& record) {
    return std::tie(record.creation_time, record.spec.object.uid, record.spec.attempt, record.name);
  };
  std::sort(records.begin(), records.end(), [&](const auto& a, const auto& b) { return place(b) < place(a); });
  for (auto begin = records.begin(); begin != records.end();) {
    const auto end = std::find_if(begin, records.end(), [&](const Preparation& record) {
      return record.creation_time != begin->creation_time || record.spec.object.uid != begin->spec.object.uid;
    });
    if (end - begin > 1) sort_one_second(begin, end);
    begin = end;
  }
}

}  // namespace gate
