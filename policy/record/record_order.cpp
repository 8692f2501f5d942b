#include "policy/record/record_order.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <queue>
#include <string_view>
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

/// Adds to `older` what each says in its links, which are names.
void compare_links(std::span<const Preparation> records, OlderOnes& older) {
  std::map<std::string_view, std::size_t> by_name;
  for (std::size_t i = 0; i < records.size(); ++i) by_name.emplace(records[i].name, i);
  for (std::size_t i = 0; i < records.size(); ++i) {
    const auto add = [&](const std::string& link) {
      const auto found = link.empty() ? by_name.end() : by_name.find(link);
      if (found != by_name.end() && found->second != i) older[i].push_back(found->second);
    };
    add(records[i].spec.supersedes);
    if (records[i].spec.candidate_of != records[i].spec.supersedes) add(records[i].spec.candidate_of);
  }
}

void compare_pairs(std::span<const Preparation> records, OlderOnes& older) {
  for (std::size_t i = 0; i < records.size(); ++i) {
    for (std::size_t j = 0; j < records.size(); ++j) {
      if (i != j && says_newer(records[i], records[j])) older[i].push_back(j);
    }
  }
}

/// Places in an order in which each comes before its older ones; of those that may come next the first.
std::vector<std::size_t> newest_first(const OlderOnes& older) {
  std::vector<std::size_t> newer(older.size(), 0);  // of those left: how many say that they are newer than this one
  for (const auto& each : older) {
    for (const auto one : each) ++newer[one];
  }
  std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> next;  // nobody is newer than these
  for (std::size_t i = 0; i < older.size(); ++i) {
    if (newer[i] == 0) next.push(i);
  }
  std::vector<std::size_t> order;
  order.reserve(older.size());
  std::vector<bool> taken(older.size(), false);
  std::size_t first = 0;  // that is not taken
  while (order.size() < older.size()) {
    while (taken[first]) ++first;
    std::size_t chosen = first;  // where nobody may come next: a circle of claims, which only a hand could write
    if (!next.empty()) {
      chosen = next.top();
      next.pop();
    }
    taken[chosen] = true;
    order.push_back(chosen);
    for (const auto one : older[chosen]) {
      if (--newer[one] == 0 && !taken[one]) next.push(one);
    }
  }
  return order;
}

void sort_one_second(Records::iterator begin, Records::iterator end) {
  Records sorted;
  sorted.reserve(static_cast<std::size_t>(end - begin));
  for (const auto place : newest_first(older_ones({begin, end}))) {
    sorted.push_back(std::move(begin[static_cast<std::ptrdiff_t>(place)]));
  }
  std::move(sorted.begin(), sorted.end(), begin);
}

}  // namespace

OlderOnes older_ones(std::span<const Preparation> records) {
  OlderOnes older(records.size());
  if (records.size() > kComparedRecordsMax) {
    compare_links(records, older);
  } else {
    compare_pairs(records, older);
  }
  return older;
}

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
