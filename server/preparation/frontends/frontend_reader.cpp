#include "server/preparation/frontends/frontend_reader.hpp"

#include <algorithm>
#include <future>
#include <memory>
#include <system_error>
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
  const std::lock_guard lock(mutex_);
  state_.started = true;
  for (std::size_t i = 0; i < state_.questions.size(); ++i) grow();
}

void FrontendReader::request_stop() {
  stopping_.request_stop();
  const std::lock_guard lock(mutex_);
  for (auto& thread : state_.threads) thread.request_stop();
}

void FrontendReader::stop() {
  request_stop();
  std::vector<std::jthread> threads;
  {
    const std::lock_guard lock(mutex_);
    state_.started = false;
    threads.swap(state_.threads);
  }
  threads.clear();  // joins
  std::deque<Question> unanswered;
  {
    const std::lock_guard lock(mutex_);
    unanswered.swap(state_.questions);
  }
  for (const auto& question : unanswered) question.find(stopping_.get_token());
}

void FrontendReader::grow() {
  if (!state_.started || state_.idle >= state_.questions.size() || state_.threads.size() >= kThreadsMax) return;
  try {
    state_.threads.emplace_back([this](const std::stop_token& stop) { answer(stop); });
  } catch (const std::system_error& error) {
    log_warning(log_, "no further thread for questions to FEs",
                {{"error", error.what()}});  // those that are there answer
  }
}

std::deque<FrontendReader::Question>::iterator FrontendReader::next_question() {
  return std::find_if(state_.questions.begin(), state_.questions.end(),
                      [&](const Question& question) { return !state_.busy.contains(question.cluster); });
}

void FrontendReader::answer(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++state_.idle;
    const bool found = asked_.wait(lock, stop, [&] { return next_question() != state_.questions.end(); });
    --state_.idle;
    if (!found) return;
    const auto next = next_question();
    const auto question = std::move(*next);
    state_.questions.erase(next);
    state_.busy.insert(question.cluster);
    lock.unlock();
    question.find(stop);
    lock.lock();
    state_.busy.erase(question.cluster);
    asked_.notify_all();  // the next about the same cluster
  }
}

template <class Answer>
Answer FrontendReader::ask(const std::string& cluster, Deadline deadline,
                           std::function<Answer(const std::stop_token&)> look) {
  const auto promise = std::make_shared<std::promise<Answer>>();
  auto answer = promise->get_future();
  {
    const std::lock_guard lock(mutex_);
    if (stopping_.stop_requested() || state_.questions.size() >= kQuestionsMax) return {};
    state_.questions.push_back(
        {cluster, [this, promise, deadline, look = std::move(look)](const std::stop_token& stop) {
           Answer found{};
           try {
             if (!stop.stop_requested() && clock_.steady_now() < deadline) found = look(stop);
           } catch (const std::exception& bug) {
             log_error(log_, "question to the FE failed", {{"error", bug.what()}});
           }
           promise->set_value(std::move(found));
         }});
    grow();
  }
  asked_.notify_all();
  if (answer.wait_until(deadline) != std::future_status::ready) return {};
  return answer.get();
}

ReadBack FrontendReader::read_back(const Preparation& record, Deadline deadline) {
  if (has_no_effect(record)) return ReadBack::Holds;
  return ask<ReadBack>(
      record.name_space + "/" + record.spec.cluster, deadline, [this, record, deadline](const std::stop_token&) {
        auto access = peers_.clusters.frontend_access(record.name_space, record.spec.cluster, deadline);
        if (!access) return ReadBack::Unreachable;
        FrontendFleet fleet(peers_.connector, std::move(access).value(), clock_);
        std::string drifted;
        const auto holds = settings_hold(record, fleet, peers_.clusters, deadline, drifted);
        if (!drifted.empty())
          log_info(log_, "settings drifted",
                   {{"preparation", record.name_space + "/" + record.name}, {"what", drifted}});
        return !holds ? ReadBack::Unreachable : (*holds ? ReadBack::Holds : ReadBack::Drifted);
      });
}

std::vector<RunningNode> FrontendReader::running_nodes(const std::string& name_space, const std::string& cluster,
                                                       Deadline deadline) {
  return ask<std::vector<RunningNode>>(
      name_space + "/" + cluster, deadline,
      [this, name_space, cluster, deadline](const std::stop_token&) -> std::vector<RunningNode> {
        auto access = peers_.clusters.frontend_access(name_space, cluster, deadline);
        if (!access) return {};
        FrontendFleet fleet(peers_.connector, std::move(access).value(), clock_);
        return gate::running_nodes(fleet, deadline);
      });
}

}  // namespace gate
