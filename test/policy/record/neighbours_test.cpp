// Goal: of records that share an FE the last one restores what was there before the first, and none before.

#include "policy/record/neighbours.hpp"

#include <doctest/doctest.h>

using namespace gate;

namespace {

Hook sets(const std::string& key, const std::string& value) {
  Hook hook;
  hook.name = key + "=" + value;
  hook.action = SqlAction{"ADMIN SET", ConfigSetting{key, value}};
  return hook;
}

Preparation record(const std::string& name, Stage stage, std::vector<CapturedSetting> captured) {
  Preparation out;
  out.name = name;
  out.creation_time = WallTime{std::chrono::seconds(name == "old" ? 1 : 2)};
  out.spec.object = {"StarRocksCluster", "sr", "uid"};
  out.spec.changes = {{Component::Backend, "be:1", "be:2"}};
  out.spec.hooks = {sets("k", "0")};
  out.status.stage = stage;
  if (stage == Stage::Restoring) out.status.outcome = Outcome::Failed;
  out.status.restore_pending = !captured.empty() && stage != Stage::Closed;
  out.status.captured = std::move(captured);
  return out;
}

using Captured = std::vector<CapturedSetting>;

}  // namespace

TEST_CASE("what was there before the first of several records is known to all") {
  struct Row {
    const char* name;
    const char* hook_key;
    const char* hook_value;
    Captured mine;
    Preparation other;
    Captured truth;
  };
  for (const Row& row : {
           Row{"nothing of mine yet, the same value",
               "k",
               "0",
               {},
               record("old", Stage::RollingOut, {{"k", "9", "0"}}),
               {{"k", "9", "0"}}},
           Row{"nothing of mine yet, another value",
               "k",
               "5",
               {},
               record("old", Stage::RollingOut, {{"k", "9", "0"}}),
               {{"k", "9", "0"}}},
           Row{"of one that restores already",
               "k",
               "0",
               {},
               record("old", Stage::Restoring, {{"k", "9", "0"}}),
               {{"k", "9", "0"}}},
           Row{"of one that has restored", "k", "0", {}, record("old", Stage::Closed, {{"k", "9", "0"}}), {}},
           Row{"a key that I do not set", "other", "0", {}, record("old", Stage::RollingOut, {{"k", "9", "0"}}), {}},
           Row{"by an alias of the key that the FE shows",
               "disable_balance",
               "true",
               {},
               record("old", Stage::RollingOut, {{"tablet_sched_disable_balance", "false", "true"}}),
               {{"tablet_sched_disable_balance", "false", "true"}}},
           Row{"written otherwise",
               "K",
               "0",
               {},
               record("old", Stage::RollingOut, {{"k", "9", "0"}}),
               {{"k", "9", "0"}}},
           Row{"its value taken for the one from before",
               "k",
               "5",
               {{"k", "0", "5"}},
               record("old", Stage::RollingOut, {{"k", "9", "0"}}),
               {{"k", "9", "0"}, {"k", "9", "5"}}},
           Row{"known already",
               "k",
               "5",
               {{"k", "9", "0"}, {"k", "9", "5"}},
               record("old", Stage::RollingOut, {{"k", "9", "0"}}),
               {{"k", "9", "0"}, {"k", "9", "5"}}},
           Row{"it sets what was there before",
               "k",
               "0",
               {{"k", "9", "0"}},
               record("old", Stage::RollingOut, {{"k", "0", "9"}}),
               {{"k", "9", "0"}}},
       }) {
    INFO(row.name);
    auto mine = record("new", Stage::Preparing, row.mine);
    mine.spec.hooks = {sets(row.hook_key, row.hook_value)};
    mine.status.captured = whole_truth(mine, {row.other});
    CHECK(mine.status.captured == row.truth);
    CHECK(whole_truth(mine, {row.other}) == row.truth);  // and again
  }
}

TEST_CASE("what is left to a record to restore") {
  const auto mine = record("new", Stage::Restoring, {{"k", "9", "0"}});
  struct Row {
    const char* name;
    Preparation other;
    Captured left;
  };
  auto superseded = record("old", Stage::RollingOut, {{"k", "9", "0"}});
  superseded.status.outcome = Outcome::Superseded;
  for (const Row& row : {
           Row{"kept in force by a rollout", record("old", Stage::RollingOut, {{"k", "9", "0"}}), {}},
           Row{"kept by one that prepares", record("old", Stage::Preparing, {{"k", "9", "0"}}), {}},
           Row{"kept at another value", record("old", Stage::RollingOut, {{"k", "9", "5"}}), {{"k", "5", "0"}}},
           Row{"kept at another value in the end",
               record("old", Stage::RollingOut, {{"k", "9", "0"}, {"k", "9", "5"}}),
               {{"k", "5", "0"}}},
           Row{"another key", record("old", Stage::RollingOut, {{"l", "9", "0"}}), {{"k", "9", "0"}}},
           Row{"it restores at the same time", record("old", Stage::Restoring, {{"k", "9", "0"}}), {{"k", "9", "0"}}},
           Row{"it is over", record("old", Stage::Closed, {{"k", "9", "0"}}), {{"k", "9", "0"}}},
           Row{"it is superseded", superseded, {{"k", "9", "0"}}},
       }) {
    INFO(row.name);
    CHECK(left_to_restore(mine, {row.other}) == row.left);
  }
}

TEST_CASE("a key that a newer record keeps at another value is not set again by the older one") {
  const auto old = record("old", Stage::RollingOut, {{"k", "9", "0"}});
  CHECK(yielded_keys(old, {record("new", Stage::Preparing, {{"k", "9", "0"}, {"k", "9", "5"}})}) ==
        std::vector<std::string>{"k"});
  CHECK(yielded_keys(old, {record("new", Stage::Preparing, {{"k", "9", "0"}})}).empty());
  CHECK(yielded_keys(old, {record("new", Stage::Restoring, {{"k", "9", "5"}})}).empty());
  CHECK(yielded_keys(record("new", Stage::Preparing, {{"k", "9", "5"}}), {old}).empty());
}

TEST_CASE("when a record has nothing more to do than the one that was admitted on top of it") {
  const auto old = record("old", Stage::RollingOut, {{"k", "9", "0"}});
  auto top = record("new", Stage::RollingOut, {{"k", "9", "0"}});
  top.status.admitted_time = WallTime{};
  CHECK(admitted_on_top(old, {top}) != nullptr);
  SUBCASE("not admitted") { top.status.admitted_time.reset(); }
  SUBCASE("of another object") { top.spec.object.uid = "uid-2"; }
  SUBCASE("of other components") { top.spec.changes[0].component = Component::Frontend; }
  SUBCASE("without a key of mine") { top.status.captured.clear(); }
  SUBCASE("over") { top.status.stage = Stage::Closed; }
  SUBCASE("older") { top.creation_time = WallTime{}; }
  CHECK(admitted_on_top(old, {top}) == nullptr);
}
