#include "server/preparation/hooks/frontend_reader.hpp"

#include <algorithm>
#include <exception>
#include <future>
#include <memory>
#include <utility>

#include "server/base/log.hpp"
#include "server/preparation/frontends/running_nodes.hpp"

namespace gate {
namespace {

/// Clusters asked at once. Each may hang for the wait that its admission agreed to, some seconds; a wave of a thousand
/// healthy ones is through in the same time.
constexpr std::size_t kThreadsMax = 32;
/// Questions waiting for a thread; each is wanted by an admission that gives up within seconds.
constexpr std::size_t kQuestionsMax = 256;

}  // namespace

void FrontendReader::start() {
  const auto state = state_.lock();
  state->started = true;
  for (std::size_t i = 0; i < state->questions.size(); ++i) grow(*state);
}

void FrontendReader::request_stop() {
  stopping_.request_stop();
  for (const auto state = state_.lock(); auto& thread : state->threads) thread.request_stop();
}

void FrontendReader::stop() {
  request_stop();
  std::vector<std::jthread> threads;
  {
    const auto state = state_.lock();
    state->started = false;
    threads.swap(state->threads);
  }
  threads.clear();  // joins
  std::list<Question> unanswered;
  unanswered.swap(state_.lock()->questions);
  for (const auto& question : unanswered) question.find(stopping_.get_token());
}

void FrontendReader::grow(State& state) {
  if (!state.started || state.idle >= state.questions.size() || state.threads.size() >= kThreadsMax) return;
  try {
    state.threads.emplace_back([this](const std::stop_token& stop) { answer(stop); });
  } catch (const std::exception& error) {  // No thread, or no memory.
    log_warning(log_, "no further thread for questions to FEs",
                {{"error", error.what()}});  // those that are there answer
  }
}

bool FrontendReader::State::is_asked(const std::string& cluster) const {
  return std::any_of(asked.begin(), asked.end(), [&](const Question& question) { return question.cluster == cluster; });
}

void FrontendReader::answer(const std::stop_token& stop) {
  const auto next_of = [](auto& state) {
    return std::find_if(state.questions.begin(), state.questions.end(),
                        [&](const Question& question) { return !state.is_asked(question.cluster); });
  };
  auto state = state_.lock();
  for (;;) {
    ++state->idle;
    const bool found = state.wait(asked_, stop, [&](const State& now) { return next_of(now) != now.questions.end(); });
    --state->idle;
    if (!found) return;
    const auto next = next_of(*state);
    // Moves the node: this takes no memory.
    state->asked.splice(state->asked.begin(), state->questions, next);
    const auto question = state->asked.begin();
    // Each that begins calls one more, as long as there is something: all at once would only meet at the lock.
    if (!state->questions.empty()) asked_.notify_one();
    state.release_for([&] { question->find(stop); });
    state->asked.erase(question);  // the next about its cluster may begin: the loop looks
  }
}

template <class Answer>
Answer FrontendReader::ask(const std::string& cluster, Deadline deadline,
                           std::function<Answer(const std::stop_token&)> look) {
  const auto promise = std::make_shared<std::promise<Answer>>();
  auto answer = promise->get_future();
  {
    const auto state = state_.lock();
    if (stopping_.stop_requested() || state->questions.size() >= kQuestionsMax) return {};
    state->questions.push_back(
        {cluster, [this, promise, deadline, look = std::move(look)](const std::stop_token& stop) {
           Answer found{};
           try {
             if (!stop.stop_requested() && clock_.steady_now() < deadline) found = look(stop);
           } catch (const std::exception& bug) {
             log_error(log_, "question to the FE failed", {{"error", bug.what()}});
           }
           promise->set_value(std::move(found));
         }});
    grow(*state);
  }
  asked_.notify_one();
  if (answer.wait_until(deadline) != std::future_status::ready) return {};
  return answer.get();
}

Result<FrontendFleet*> FrontendReader::fleet_of(FrontendInquiry& inquiry, const std::string& name_space,
                                                const std::string& cluster, Deadline deadline) {
  if (!inquiry.fleet) {
    auto access = inquiry.object.is_null()
                      ? peers_.clusters.frontend_access(name_space, cluster, deadline)
                      : peers_.clusters.frontend_access_of(inquiry.object, name_space, cluster, deadline);
    if (!access) return access.error();
    inquiry.fleet.emplace(peers_.connector, std::move(access).value(), clock_, NodesAsked::Once);
  }
  inquiry.fleet->forget_nodes();
  return &*inquiry.fleet;
}

FrontendReader::LookedBack FrontendReader::look_back(const Preparation& record, FrontendInquiry& inquiry,
                                                     Deadline deadline) {
  const auto fleet = fleet_of(inquiry, record.name_space, record.spec.cluster, deadline);
  if (!fleet) return {ReadBack::Unreachable, {}};
  std::string drifted;
  const auto holds = settings_hold(record, **fleet, peers_.clusters, deadline, drifted);
  if (!drifted.empty())
    log_info(log_, "settings drifted", {{"preparation", record.name_space + "/" + record.name}, {"what", drifted}});
  if (!holds) return {ReadBack::Unreachable, {}};
  LookedBack out{*holds ? ReadBack::Holds : ReadBack::Drifted, {}};
  // The same answers tell of the nodes.
  if (*holds && inquiry.wants_versions) out.running = gate::running_nodes(**fleet, deadline);
  return out;
}

ReadBack FrontendReader::read_back(const Preparation& record, Deadline deadline,
                                   std::shared_ptr<FrontendInquiry> inquiry) {
  if (has_no_effect(record)) return ReadBack::Holds;
  if (!inquiry) inquiry = std::make_shared<FrontendInquiry>();
  auto looked = ask<LookedBack>(
      record.name_space + "/" + record.spec.cluster, deadline,
      [this, record, deadline, inquiry](const std::stop_token&) { return look_back(record, *inquiry, deadline); });
  inquiry->running = std::move(looked.running);
  return looked.found;
}

std::vector<RunningNode> FrontendReader::running_nodes(const std::string& name_space, const std::string& cluster,
                                                       Deadline deadline, std::shared_ptr<FrontendInquiry> inquiry) {
  if (!inquiry) inquiry = std::make_shared<FrontendInquiry>();
  if (inquiry->running) return *inquiry->running;
  return ask<std::vector<RunningNode>>(name_space + "/" + cluster, deadline,
                                       [this, name_space, cluster, deadline, inquiry = std::move(inquiry)](
                                           const std::stop_token&) -> std::vector<RunningNode> {
                                         const auto fleet = fleet_of(*inquiry, name_space, cluster, deadline);
                                         if (!fleet) return {};
                                         return gate::running_nodes(**fleet, deadline);
                                       });
}

}  // namespace gate
