// Goal: what the pods of a component last ran completely is known from the records, whatever else lies between them.

#include "policy/record/history.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>

using namespace gate;

namespace {

const WallTime kNow{std::chrono::seconds(1'800'000'000)};

enum class Became { Held, Failed, ExpiredUnused, Admitted, RolledOut, TooLong, Superseded, RolledBack, Bypassed };

Preparation attempt(const std::string& from, const std::string& to, Became became,
                    std::vector<ComponentImage> origins = {}) {
  Preparation record;
  record.name = from + to;
  record.spec.object = {"StarRocksCluster", "sr", "uid-1"};
  record.spec.cluster = "sr";
  record.spec.changes = {{Component::Backend, from, to}};
  record.spec.origins = std::move(origins);
  auto& status = record.status;
  status.stage = Stage::Closed;
  switch (became) {
    case Became::Held:
      status.stage = Stage::Preparing;
      break;
    case Became::Failed:
      status.phase = Phase::Failed;
      status.outcome = Outcome::Failed;
      break;
    case Became::ExpiredUnused:
      status.outcome = Outcome::Expired;
      break;
    case Became::Admitted:
      status.stage = Stage::RollingOut;
      status.admitted_time = kNow;
      break;
    case Became::RolledOut:
      status.admitted_time = status.rolled_out_time = kNow;
      status.outcome = Outcome::Succeeded;
      break;
    case Became::TooLong:
      status.admitted_time = kNow;
      status.outcome = Outcome::Expired;
      break;
    case Became::Superseded:
      status.admitted_time = kNow;
      status.outcome = Outcome::Superseded;
      break;
    case Became::RolledBack:
      status.admitted_time = status.rolled_back_time = kNow;
      status.outcome = Outcome::Reverted;
      break;
    case Became::Bypassed:
      record.spec.bypass = Bypass{"*", "because", kNow};
      status.outcome = Outcome::Bypassed;
      break;
  }
  return record;
}

}  // namespace

TEST_CASE("where the pods of a component come from") {
  using enum Became;
  const std::vector<ComponentImage> from_a{{Component::Backend, "a"}};
  struct Row {
    const char* name;
    std::vector<Preparation> oldest_first;
    const char* present;
    std::optional<std::string> origin;
  };
  for (Row row : {
           Row{"no records", {}, "a", {}},
           Row{"held: nothing has moved", {attempt("a", "b", Held)}, "a", {}},
           Row{"admitted", {attempt("a", "b", Admitted)}, "b", "a"},
           Row{"on the object before anybody noted the admission", {attempt("a", "b", Held)}, "b", "a"},
           Row{"rolled out", {attempt("a", "b", RolledOut)}, "b", {}},
           Row{"a newer target that is held", {attempt("a", "b", Admitted), attempt("b", "c", Held, from_a)}, "b", "a"},
           Row{"a newer target that failed",
               {attempt("a", "b", Admitted), attempt("b", "c", Failed, from_a)},
               "b",
               "a"},
           Row{"newer targets that failed, although the older record was superseded",
               {attempt("a", "b", Superseded), attempt("b", "c", Failed, from_a), attempt("b", "d", Failed, from_a)},
               "b",
               "a"},
           Row{"a newer target that was admitted: the middle is no origin",
               {attempt("a", "b", Superseded), attempt("b", "c", Admitted, from_a)},
               "c",
               "a"},
           Row{"the older record is no longer there", {attempt("b", "c", Failed, from_a)}, "b", "a"},
           Row{"held too long", {attempt("a", "b", TooLong)}, "b", "a"},
           Row{"bypassed", {attempt("a", "b", Bypassed)}, "b", "a"},
           Row{"bypassed in the middle", {attempt("a", "b", Admitted), attempt("b", "c", Bypassed, from_a)}, "c", "a"},
           Row{"rolled back", {attempt("a", "b", RolledBack)}, "a", {}},
           Row{"rolled out while a newer target was refused",
               {attempt("a", "b", RolledOut), attempt("b", "c", Failed, from_a)},
               "b",
               {}},
           Row{"on its way back", {attempt("a", "b", Admitted)}, "a", "a"},
           Row{"after a finished story the next one begins anew",
               {attempt("a", "b", RolledOut), attempt("b", "c", Admitted)},
               "c",
               "b"},
           Row{"an unused attempt after a finished story",
               {attempt("a", "b", RolledOut), attempt("b", "c", ExpiredUnused)},
               "b",
               {}},
       }) {
    INFO(row.name);
    std::reverse(row.oldest_first.begin(), row.oldest_first.end());
    CHECK(origin_of(row.oldest_first, "uid-1", {Component::Backend, row.present}) == row.origin);
    CHECK_FALSE(origin_of(row.oldest_first, "uid-2", {Component::Backend, row.present}));
    CHECK_FALSE(origin_of(row.oldest_first, "uid-1", {Component::Frontend, row.present}));
  }
}

TEST_CASE("a closed record is kept while an origin or an open record depends on it") {
  using enum Became;
  std::vector<Preparation> records{attempt("a", "b", TooLong)};
  for (int i = 0; i < 20; ++i) records.insert(records.begin(), attempt("b", "c" + std::to_string(i), Failed));
  CHECK(records_to_keep(records) == std::vector<std::string>{"ab"});
  auto open = attempt("b", "d", Held);
  open.spec.supersedes = "bc3";
  open.spec.candidate_of = "ab";
  records.insert(records.begin(), open);
  const auto kept = records_to_keep(records);
  for (const char* name : {"bc3", "ab"}) CHECK(std::find(kept.begin(), kept.end(), name) != kept.end());
}

TEST_CASE("which records may be moving pods") {
  using enum Became;
  const std::vector<ComponentImage> at_b{{Component::Backend, "b"}};
  auto noted = attempt("a", "b", Admitted);
  CHECK(moves_pods(noted, {}));
  auto prepared = attempt("a", "b", Held);
  CHECK_FALSE(moves_pods(prepared, at_b));
  prepared.status.phase = Phase::Completed;
  prepared.status.stage = Stage::Prepared;
  CHECK(moves_pods(prepared, at_b));
  CHECK_FALSE(moves_pods(prepared, {{Component::Backend, "a"}}));
  auto reopened = attempt("a", "b", Admitted);
  reopened.status.stage = Stage::Preparing;
  CHECK(moves_pods(reopened, {}));
  for (const auto became : {Failed, Superseded, RolledOut, Bypassed})
    CHECK_FALSE(moves_pods(attempt("a", "b", became), at_b));
}

TEST_CASE("a story that ended while a newer target was held, or by an older record, is over") {
  using enum Became;
  const std::vector<ComponentImage> from_a{{Component::Backend, "a"}};
  auto base = attempt("a", "b", RolledOut);
  base.creation_time = kNow - std::chrono::hours(2);
  base.status.admitted_time = kNow - std::chrono::hours(2);
  base.status.rolled_out_time = kNow - std::chrono::hours(1);
  auto candidate = attempt("b", "c", Admitted, from_a);
  candidate.creation_time = kNow - std::chrono::minutes(90);
  CHECK(origin_of({candidate, base}, "uid-1", {Component::Backend, "c"}) == "b");
  candidate.creation_time = kNow - std::chrono::minutes(30);  // begun anew: it inherited nothing then
  candidate.spec.origins.clear();
  CHECK(origin_of({candidate, base}, "uid-1", {Component::Backend, "c"}) == "b");
  // The older record followed its pods to where the bypass sent them.
  auto bypass = attempt("b", "c", Bypassed, from_a);
  bypass.creation_time = kNow - std::chrono::minutes(90);
  base.status.rolled_out_time.reset();
  base.status.rolled_back_time = kNow - std::chrono::hours(1);
  CHECK_FALSE(origin_of({bypass, base}, "uid-1", {Component::Backend, "c"}));
  base.status.rolled_back_time.reset();
  CHECK(origin_of({bypass, base}, "uid-1", {Component::Backend, "c"}) == "a");
}

TEST_CASE("where a rollback ended is told, and decides what was begun before it") {
  using enum Became;
  // a -> b was admitted; before its end b -> c was let through, and the pods were found at c.
  auto old = attempt("a", "b", Admitted);
  old.creation_time = old.status.admitted_time = kNow - std::chrono::hours(3);
  old.status.rolled_back_time = kNow - std::chrono::hours(1);
  old.status.rolled_back_to = {{Component::Backend, "c"}};
  auto top = attempt("b", "c", Admitted, {{Component::Backend, "a"}});
  top.creation_time = kNow - std::chrono::hours(2);
  for (const auto noted : {std::chrono::minutes(90), std::chrono::minutes(30)}) {  // before the end, or after it
    top.status.admitted_time = kNow - noted;
    CHECK_FALSE(origin_of({top, old}, "uid-1", {Component::Backend, "c"}));
    CHECK(origin_of({top, old}, "uid-1", {Component::Backend, "d"}) == "c");
  }
  // What begins after that has its own story.
  auto next = attempt("c", "d", Admitted);
  next.creation_time = next.status.admitted_time = kNow;
  CHECK(origin_of({next, top, old}, "uid-1", {Component::Backend, "d"}) == "c");
}

TEST_CASE("a change that was taken back is admitted again by an older record than the one that ended since") {
  using enum Became;
  // a -> b, on top of it b -> c, both taken back; c's record has seen the pods at a, b's has not looked yet.
  auto first = attempt("a", "b", Admitted);
  first.creation_time = first.status.admitted_time = kNow - std::chrono::hours(2);
  auto top = attempt("b", "c", RolledBack, {{Component::Backend, "a"}});
  top.creation_time = kNow - std::chrono::hours(1);
  top.status.rolled_back_to = {{Component::Backend, "a"}};
  CHECK(origin_of({top, first}, "uid-1", {Component::Backend, "b"}) == "a");
  CHECK_FALSE(origin_of({top, first}, "uid-1", {Component::Backend, "a"}));
  // The same of one that was prepared before it and used after it.
  auto waiting = attempt("a", "d", Held);
  waiting.creation_time = kNow - std::chrono::hours(2);
  waiting.status.stage = Stage::Prepared;
  waiting.status.phase = Phase::Completed;
  CHECK(origin_of({top, waiting}, "uid-1", {Component::Backend, "d"}) == "a");
  // Nobody's record brought c there: the story that ended is the last that is known.
  CHECK_FALSE(origin_of({top, first}, "uid-1", {Component::Backend, "c"}));
}

TEST_CASE("a change of several components that was taken back in part may be moving pods") {
  auto prepared = attempt("a", "b", Became::Held);
  prepared.spec.changes.push_back({Component::Frontend, "x", "y"});
  prepared.status.phase = Phase::Completed;
  prepared.status.stage = Stage::Prepared;
  CHECK(moves_pods(prepared, {{Component::Backend, "a"}, {Component::Frontend, "y"}}));
  CHECK_FALSE(moves_pods(prepared, {{Component::Backend, "a"}, {Component::Frontend, "x"}}));
}

TEST_CASE("a record that ended as superseded on its own is not handed over") {
  auto record = attempt("a", "b", Became::Superseded);
  CHECK(is_handed_over(record));
  record.status.stage = Stage::Restoring;
  CHECK_FALSE(is_handed_over(record));
}
