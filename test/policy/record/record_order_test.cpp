// Goal: of an object's records the one that came last is known, also where several were made within one second.

#include "policy/record/record_order.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

using namespace gate;

namespace {

Preparation record(const std::string& name, const std::string& from, const std::string& to, int attempt = 1) {
  Preparation out;
  out.name = name;
  out.creation_time = WallTime{std::chrono::seconds(1'800'000'000)};
  out.spec.object = {"StarRocksCluster", "sr", "uid-1"};
  out.spec.attempt = attempt;
  out.spec.changes = {{Component::Backend, from, to}};
  return out;
}

Preparation in_place_of(Preparation record, const std::string& older) {
  record.spec.supersedes = older;
  return record;
}

Preparation on_top_of(Preparation record, const std::string& older) {
  record.spec.candidate_of = older;
  return record;
}

Preparation with_hook(Preparation record) {
  record.spec.hooks.emplace_back();
  return record;
}

Preparation later(Preparation record, int seconds) {
  record.creation_time = *record.creation_time + std::chrono::seconds(seconds);
  return record;
}

Preparation of_object(Preparation record, const std::string& uid) {
  record.spec.object.uid = uid;
  return record;
}

/// Names, in the order.
std::string sorted(std::vector<Preparation> records) {
  sort_newest_first(records);
  std::string out;
  for (const auto& each : records) out += each.name;
  return out;
}

}  // namespace

TEST_CASE("the newest of one second is the one that says so, in whatever order they are listed") {
  const struct {
    const char* name;
    std::vector<Preparation> records;
    const char* order;
  } rows[] = {
      {"takes the place of one with a greater name",
       {record("z", "1", "2"), in_place_of(record("a", "1", "3"), "z")},
       "az"},
      {"begins on top of one with a greater name",
       {record("z", "1", "2"), on_top_of(record("a", "1", "3"), "z")},
       "az"},
      {"of one that was tried again", {record("z", "1", "2", 7), in_place_of(record("a", "1", "3"), "z")}, "az"},
      {"a chain of three",
       {record("z", "1", "2"), in_place_of(record("m", "1", "3"), "z"), in_place_of(record("a", "1", "4"), "m")},
       "amz"},
      {"a chain that goes up",
       {record("a", "1", "2"), in_place_of(record("m", "1", "3"), "a"), in_place_of(record("z", "1", "4"), "m")},
       "zma"},
      {"the other was closed already: its image is where this one starts",
       {record("z", "1", "2"), record("a", "2", "3")},
       "az"},
      {"to the image and back: a place that is taken counts before images",
       {in_place_of(record("z", "2", "1"), "a"), record("a", "1", "2")},
       "za"},
      {"to the image and back, and no more is known: by name", {record("z", "2", "1"), record("a", "1", "2")}, "za"},
      {"attempts at one target", {record("a", "1", "2", 9), record("b", "1", "2", 10)}, "ba"},
      {"attempts at one target under other hooks are not counted on",
       {record("z", "1", "2", 3), in_place_of(with_hook(record("a", "1", "2", 1)), "z")},
       "az"},
      {"nothing is known: by name", {record("z", "1", "2"), record("a", "1", "3")}, "za"},
      {"time counts first", {record("z", "1", "2"), later(record("a", "1", "3"), 1)}, "az"},
      {"time counts before what a hand wrote",
       {later(record("z", "1", "2"), 1), in_place_of(record("a", "1", "3"), "z")},
       "za"},
      {"a circle that a hand wrote ends",
       {in_place_of(record("a", "1", "2"), "z"), in_place_of(record("z", "1", "3"), "a")},
       "za"},
      {"a record that names itself", {in_place_of(record("a", "1", "2"), "a"), record("z", "1", "3")}, "za"},
      {"other objects say nothing of each other",
       {of_object(record("z", "1", "2"), "uid-2"), in_place_of(record("a", "1", "3"), "z")},
       "za"},
      {"none", {}, ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    auto order = row.records;
    const auto by_name = [](const Preparation& a, const Preparation& b) { return a.name < b.name; };
    std::sort(order.begin(), order.end(), by_name);
    do {
      CHECK(sorted(order) == row.order);
    } while (std::next_permutation(order.begin(), order.end(), by_name));
  }
}

TEST_CASE("a second in which very many objects began is sorted, too") {
  std::vector<Preparation> records;
  constexpr int kObjects = 5000;
  for (int i = 0; i < kObjects; ++i) {
    const auto number = std::to_string(i);
    records.push_back(of_object(record("z" + number, "1", "2"), number));
    records.push_back(of_object(in_place_of(record("a" + number, "1", "3"), "z" + number), number));
  }
  sort_newest_first(records);
  for (std::size_t i = 0; i + 1 < records.size(); i += 2) {
    REQUIRE(records[i].spec.object.uid == records[i + 1].spec.object.uid);
    REQUIRE(records[i].spec.supersedes == records[i + 1].name);
  }
}

namespace {

std::size_t entries(const OlderOnes& older) {
  std::size_t out = 0;
  for (const auto& each : older) out += each.size();
  return out;
}

/// Of one object and one second, at one target: each says of all earlier ones that it is newer.
std::vector<Preparation> attempts(std::size_t count) {
  std::vector<Preparation> records;
  for (std::size_t i = 0; i < count; ++i) {
    records.push_back(record("r" + std::to_string(i), "1", "2", static_cast<int>(i)));
  }
  return records;
}

}  // namespace

TEST_CASE("what thousands of one second say of each other is not asked each of each") {
  CHECK(entries(older_ones(attempts(kComparedRecordsMax))) == kComparedRecordsMax * (kComparedRecordsMax - 1) / 2);
  constexpr std::size_t kRecords = 20'000;
  CHECK(entries(older_ones(attempts(kRecords))) == 0);
  // A chain, in which each takes the place of the one before and stands on that before it.
  auto chain = attempts(kRecords);
  for (std::size_t i = 2; i < kRecords; ++i) {
    chain[i].spec.supersedes = chain[i - 1].name;
    chain[i].spec.candidate_of = chain[i - 2].name;
  }
  CHECK(entries(older_ones(chain)) == 2 * (kRecords - 2));
}

TEST_CASE("thousands of one second are sorted by their links, whatever they are called") {
  constexpr std::size_t kRecords = 20'000;
  auto records = attempts(kRecords);
  SUBCASE("none: the last attempt first") {
    sort_newest_first(records);
    for (std::size_t i = 0; i < kRecords; ++i) {
      REQUIRE(records[i].spec.attempt == static_cast<int>(kRecords - 1 - i));
    }
  }
  SUBCASE("a chain against the attempts") {
    for (std::size_t i = 1; i < kRecords; ++i) records[i - 1].spec.supersedes = records[i].name;
    sort_newest_first(records);
    for (std::size_t i = 0; i < kRecords; ++i) REQUIRE(records[i].spec.attempt == static_cast<int>(i));
  }
  SUBCASE("one circle of all") {
    for (std::size_t i = 0; i < kRecords; ++i) records[i].spec.supersedes = records[(i + 1) % kRecords].name;
    sort_newest_first(records);
    CHECK(records.front().spec.attempt == static_cast<int>(kRecords - 1));  // the circle is cut where it would begin
    for (std::size_t i = 1; i < kRecords; ++i) REQUIRE(records[i].spec.attempt == static_cast<int>(i - 1));
  }
  SUBCASE("all at one") {
    const auto last = records.back().name;
    for (auto& each : records) each.spec.candidate_of = last;
    sort_newest_first(records);
    CHECK(records.back().name == last);
  }
}

TEST_CASE("links are read alike where each is compared with each and where there are too many") {
  // A row of links for few and, with others around that say nothing, for many: the few come in the same order.
  std::uint32_t seed = 1;
  const auto random = [&seed](std::size_t below) {
    seed = seed * 1'664'525U + 1'013'904'223U;
    return static_cast<std::size_t>(seed >> 16U) % below;
  };
  constexpr std::size_t kFew = 9;
  for (int round = 0; round < 300; ++round) {
    std::vector<Preparation> few;
    for (std::size_t i = 0; i < kFew; ++i) {
      auto one = record(std::string(1, static_cast<char>('a' + i)), std::to_string(2 * i), std::to_string(2 * i + 1));
      if (random(2) == 0) one.spec.supersedes = std::string(1, static_cast<char>('a' + random(kFew)));
      if (random(3) == 0) one.spec.candidate_of = std::string(1, static_cast<char>('a' + random(kFew)));
      few.push_back(std::move(one));
    }
    auto many = few;
    for (std::size_t i = 0; i < kComparedRecordsMax; ++i) {
      many.push_back(record("0" + std::to_string(i), "x" + std::to_string(i), "y" + std::to_string(i)));
    }
    const auto order = sorted(few);
    CAPTURE(order);
    sort_newest_first(many);
    std::string among_many;
    for (const auto& one : many) {
      if (one.name.size() == 1) among_many += one.name;
    }
    CHECK(among_many == order);
  }
}
