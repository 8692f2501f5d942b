// An hour of a cluster's life with two replicas, by a clock moved by hand and a fixed seed: images change and go back,
// rollouts end or do not, FEs restart and are away, gates are killed and cut off, machines disagree about the time.
// After each step: nothing was broken that the world watches (ChaosWorld::judge), and no FE has a value of ours that is
// not pending. In the end, when all is well for long enough: everything is as it was before.

#include <doctest/doctest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <random>

#include "policy/record/preparation_codec.hpp"
#include "test/chaos/mortal_gate.hpp"
#include "test/server/admission/review_of.hpp"

using namespace std::chrono_literals;

namespace gate {
namespace {

using namespace test;
using nlohmann::json;

constexpr std::size_t kFrontends = 3;

class Soak {
 public:
  explicit Soak(unsigned seed) : random_(seed) {
    chaos_.tracing = seed % 2 == 1;  // which changes who removes finalizers, and when
    for (std::size_t i = 0; i < gates_.size(); ++i) start_gate(i);
  }

  /// One thing happens, and some time passes.
  void step() {
    switch (roll(12)) {
      case 0:
      case 1:
      case 2:
        wish_ = "be:" + std::to_string(1 + roll(4));
        break;
      case 3:
        wish_ = before_;
        break;
      case 4:
      case 5:
        did("the pods roll out");
        settle();
        chaos_.rolls_out();
        break;
      case 6:
      case 7: {
        const auto fe = roll(kFrontends);
        if (chaos_.frontends_down[fe]) break;
        did("FE " + std::to_string(fe) + " restarts");
        settle();  // whoever looks at this moment may see it before or after
        chaos_.world.simulator.restart(fe);
        break;
      }
      case 8: {
        // One at a time, and never the one that connections are made to: the cluster has a leader.
        const std::size_t fe = 1 + roll(kFrontends - 1);
        for (std::size_t other = 1; other < kFrontends; ++other) {
          if (!chaos_.frontends_down[other]) continue;
          did("FE " + std::to_string(other) + " is back");
          chaos_.world.simulator.start(other);
          chaos_.frontends_down[other] = false;
        }
        if (roll(2) == 0) break;
        did("FE " + std::to_string(fe) + " is away");
        settle();
        chaos_.frontends_down[fe] = true;
        chaos_.world.simulator.stop(fe);
        break;
      }
      case 9: {
        const auto gate = roll(gates_.size());
        did("gate " + std::to_string(gate) + " is killed soon");
        start_gate(gate, {.after_boundaries = roll(60)});
        ++kills_;
        break;
      }
      case 10: {
        const auto gate = roll(gates_.size());
        const bool apart = !gates_[gate]->line.apart();
        did("gate " + std::to_string(gate) + (apart ? " is cut off" : " is connected again"));
        gates_[gate]->line.set_apart(apart);
        break;
      }
      default:
        break;
    }
    ask();
    pass(std::chrono::seconds(1 + roll(40)));
    judge();
  }

  /// Everything is well, for as long as anything may take.
  void end() {
    did("all is well");
    for (std::size_t fe = 0; fe < kFrontends; ++fe) {
      if (chaos_.frontends_down[fe]) chaos_.world.simulator.start(fe);
      chaos_.frontends_down[fe] = false;
    }
    for (std::size_t gate = 0; gate < gates_.size(); ++gate) start_gate(gate);
    wish_ = before_ = image_;
    chaos_.rolls_out();
    REQUIRE_MESSAGE(chaos_.until(
                        [&] {
                          const auto records = chaos_.world.store.cached();
                          return std::none_of(
                                     records.begin(), records.end(),
                                     [](const Preparation& record) { return is_open(record) || record.held; }) &&
                                 chaos_.activity.quiet();
                        },
                        10s),
                    report());
    judge();
    for (const auto& record : chaos_.world.store.cached()) {
      CHECK_FALSE(record.status.restore_pending);
      if (chaos_.tracing) CHECK(chaos_.traced(record) >= 1);
      ++outcomes_[std::string(to_string(record.status.outcome))];
    }
    for (std::size_t fe = 0; fe < kFrontends; ++fe) {
      for (const auto& [key, value] : chaos_.before) CHECK(chaos_.world.config(fe, key) == value);
    }
  }

  [[nodiscard]] std::chrono::seconds passed() const {
    return std::chrono::floor<std::chrono::seconds>(chaos_.time.ahead());
  }
  [[nodiscard]] std::string summary() const {
    std::string out = std::to_string(asked_) + " requests, " + std::to_string(admitted_) + " admitted, " +
                      std::to_string(kills_) + " kills; outcomes of the last records:";
    for (const auto& [outcome, count] : outcomes_) out += " " + outcome + " " + std::to_string(count);
    return out;
  }

 private:
  std::size_t roll(std::size_t sides) { return std::uniform_int_distribution<std::size_t>(0, sides - 1)(random_); }
  void did(const std::string& what) { story_.push_back(std::to_string(passed().count()) + " s: " + what); }

  void start_gate(std::size_t number, const Kill& kill = {}) {
    auto& gate = gates_[number];
    gate.reset();
    auto options = chaos_options("gate-" + std::to_string(number));
    options.workers = 2;
    options.reassert_interval = 5s;
    options.claim_stale_after = 20s;
    options.admit_within = 10min;
    options.max_hold = 15min;
    gate = std::make_unique<MortalGate>(chaos_, options, kill, number == 0 ? -5min : 7min);
  }
  void revive() {
    for (std::size_t number = 0; number < gates_.size(); ++number) {
      if (!gates_[number]->line.is_cut()) continue;
      did("gate " + std::to_string(number) + " is dead, and starts again");
      start_gate(number);
    }
  }
  /// Nobody is in the middle of something.
  void settle() {
    REQUIRE_MESSAGE(chaos_.until([&] { return chaos_.activity.quiet(); }, 0ms), report());
  }
  void pass(std::chrono::seconds time) {
    const auto until = chaos_.time.ahead() + time;
    REQUIRE_MESSAGE(chaos_.until([&] {
      revive();
      return chaos_.time.ahead() >= until;
    }),
                    report());
  }

  /// The user, or GitOps, repeats the wish; some gate answers.
  void ask() {
    if (wish_ == image_) return;
    auto& gate = *gates_[roll(gates_.size())];
    const json review = review_of(object_of(image_), object_of(wish_));
    settle();
    ++asked_;
    const auto response =
        json::parse(gate.service.review(AdmissionService::kGatePath, review.dump()).body).at("response");
    if (response.at("allowed") == false) return;
    ++admitted_;
    did("admitted: " + image_ + " to " + wish_);
    // A way back needs no preparation; everything else was read back before it was admitted.
    if (response.value("auditAnnotations", json::object()).value("decision", "") == "allowed-prepared") {
      for (std::size_t fe = 0; fe < kFrontends; ++fe) {
        for (const auto& setting : chaos_.before) {
          const std::string& key = setting.first;
          INFO("FE " << fe << ", " << key << "\n" << report());
          if (!chaos_.frontends_down[fe]) CHECK(chaos_.world.config(fe, key) == "0");
        }
      }
    }
    before_ = image_;
    image_ = wish_;
    chaos_.object_becomes(object_of(image_));
  }

  void judge() {
    CHECK_MESSAGE(chaos_.broken_rules() == "", report());
    for (const auto& setting : chaos_.before) {
      const std::string& key = setting.first;
      for (std::size_t fe = 0; fe < kFrontends; ++fe) {
        if (chaos_.frontends_down[fe] || chaos_.world.config(fe, key) == setting.second) continue;
        const auto records = chaos_.world.store.cached();
        const bool pending = std::any_of(records.begin(), records.end(), [&](const Preparation& record) {
          const auto& captured = record.status.captured;
          return record.status.restore_pending &&
                 std::any_of(captured.begin(), captured.end(),
                             [&](const CapturedSetting& one) { return one.key == key; });
        });
        CHECK_MESSAGE(pending, key << " is off on FE " << fe << " and no record has it pending\n" << report());
      }
    }
  }
  /// The last of what happened.
  [[nodiscard]] std::string report() const {
    std::string out;
    for (std::size_t i = story_.size() - std::min<std::size_t>(story_.size(), 25); i < story_.size(); ++i) {
      out += story_[i] + "\n";
    }
    for (const auto& record : chaos_.world.store.cached()) {
      if (is_open(record)) out += to_json(record).at("status").dump() + "\n";
    }
    return out + chaos_.broken_rules();
  }

  std::mt19937 random_;
  ChaosWorld chaos_{{.frontends = kFrontends}};
  std::array<std::unique_ptr<MortalGate>, 2> gates_;
  std::string image_ = "be:1";
  std::string before_ = "be:1";
  std::string wish_ = "be:1";
  std::vector<std::string> story_;
  std::size_t asked_ = 0;
  std::size_t admitted_ = 0;
  std::size_t kills_ = 0;
  std::map<std::string, int> outcomes_;
};

TEST_CASE("an hour of everything at once: nothing is lost, nothing is left off, nothing is admitted unprepared") {
  const char* given = std::getenv("CHAOS_SEED");
  const unsigned seed = given == nullptr ? 20260101U : static_cast<unsigned>(std::strtoul(given, nullptr, 10));
  const auto length = kSanitized ? std::chrono::seconds(10min) : std::chrono::seconds(1h);
  const auto began = std::chrono::steady_clock::now();
  Soak soak(seed);
  int steps = 0;
  for (; soak.passed() < length; ++steps) soak.step();
  soak.end();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  MESSAGE("soak with seed " << seed << ": " << steps << " steps in " << soak.passed().count() << " s of its own time, "
                            << took.count() << " s of ours; " << soak.summary());
}

}  // namespace
}  // namespace gate
