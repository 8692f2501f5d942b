#include "server/preparation/frontends/frontend_questions.hpp"

#include <spdlog/logger.h>

#include <future>
#include <memory>
#include <utility>

#include "server/preparation/frontends/running_nodes.hpp"

namespace gate {
namespace {

/// Two threads: a hung FE in one question must not delay all others.
constexpr std::size_t kThreads = 2;
/// Questions waiting for a thread; each is wanted by an admission that gives up within seconds.
constexpr std::size_t kQuestionsMax = 256;

}  // namespace

void FrontendQuestions::start() {
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { answer(stop); });
  }
}

void FrontendQuestions::request_stop() {
  stopping_.request_stop();
  for (auto& thread : threads_) thread.request_stop();
}

void FrontendQuestions::stop() {
  request_stop();
  threads_.clear();
  std::deque<Question> unanswered;
  {
    const std::lock_guard lock(mutex_);
    unanswered.swap(questions_);
  }
  for (const auto& question : unanswered) question(stopping_.get_token());
}

void FrontendQuestions::answer(const std::stop_token& stop) {
  for (;;) {
    std::unique_lock lock(mutex_);
    if (!asked_.wait(lock, stop, [&] { return !questions_.empty(); })) return;
    const auto question = std::move(questions_.front());
    questions_.pop_front();
    lock.unlock();
    question(stop);
  }
}

template <class Answer>
Answer FrontendQuestions::ask(Deadline deadline, std::function<Answer(const std::stop_token&)> look) {
  const auto promise = std::make_shared<std::promise<Answer>>();
  auto answer = promise->get_future();
  {
    const std::lock_guard lock(mutex_);
    if (stopping_.stop_requested() || questions_.size() >= kQuestionsMax) return {};
    questions_.push_back([this, promise, deadline, look = std::move(look)](const std::stop_token& stop) {
      Answer found{};
      try {
        if (!stop.stop_requested() && clock_.steady_now() < deadline) found = look(stop);
      } catch (const std::exception& bug) {
        log_.error("question to the FE failed error={}", bug.what());
      }
      promise->set_value(std::move(found));
    });
  }
  asked_.notify_one();
  if (answer.wait_until(deadline) != std::future_status::ready) return {};
  return answer.get();
}

ReadBack FrontendQuestions::read_back(const Preparation& record, Deadline deadline) {
  return ask<ReadBack>(deadline, [this, record, deadline](const std::stop_token& stop) {
    // Never written through: the record is only read here.
    ClaimedRecord view(store_, clock_, record.status.runner.identity, record);
    HookRunner runner(view, peers_, clock_, options_, stop);
    std::string drifted;
    const auto holds = runner.holds(deadline, drifted);
    if (!drifted.empty()) log_.info("settings drifted name={} what={}", record.name, drifted);
    return !holds ? ReadBack::Unreachable : (*holds ? ReadBack::Holds : ReadBack::Drifted);
  });
}

std::vector<RunningNode> FrontendQuestions::running_nodes(const std::string& name_space, const std::string& cluster,
                                                          Deadline deadline) {
  return ask<std::vector<RunningNode>>(
      deadline, [this, name_space, cluster, deadline](const std::stop_token&) -> std::vector<RunningNode> {
        auto access = peers_.clusters.frontend_access(name_space, cluster, deadline);
        if (!access) return {};
        FrontendFleet fleet(peers_.connector, std::move(access).value());
        return gate::running_nodes(fleet, deadline);
      });
}

}  // namespace gate
