#include "server/preparation/records/paced_store.hpp"

#include <chrono>

namespace gate {
namespace {

using std::chrono::milliseconds;

/// After the first failure: it may have been one request's bad luck.
constexpr milliseconds kPauseMin{500};
/// Within the lease of a claim (15 s) there is to be another try; and so soon, at most, is an API server that is back
/// found again.
constexpr milliseconds kPauseMax{8000};

/// Refused, reset, 429, 5xx or no answer. Anything else was said by a server that works.
bool in_trouble(const Error& error) {
  return error.code == ErrorCode::Unavailable || error.code == ErrorCode::DeadlineExceeded;
}

}  // namespace

PacedStore::PacedStore(PreparationStore& store, const Clock& clock, WorkQueue& queue)
    : store_(store), clock_(clock), queue_(queue), trouble_({.backoff = Backoff(kPauseMin, kPauseMax)}) {}

template <class Out, class Call>
Out PacedStore::watch(Kind kind, const Call& call) {
  const auto began = clock_.steady_now();
  Out out = call();
  if (!out && in_trouble(out.error())) {
    failed(kind, began);
  } else {
    succeeded(kind);
  }
  return out;
}

void PacedStore::failed(Kind kind, SteadyTime began) {
  const auto trouble = trouble_.lock();
  trouble->write_failed = trouble->write_failed || kind == Kind::Write;
  // Begun before the pause was over: the same trouble, not news of it.
  if (began < trouble->until) return;
  ++failures_;
  trouble->until = clock_.steady_now() + trouble->backoff.next();
  queue_.hold_until(trouble->until);
}

void PacedStore::succeeded(Kind kind) {
  if (failures_ == 0) return;
  const auto trouble = trouble_.lock();
  if (trouble->write_failed && kind == Kind::Read) return;
  trouble->write_failed = false;
  failures_ = 0;
  trouble->backoff.reset();
  trouble->until = SteadyTime::min();
  queue_.hold_until(trouble->until);
}

bool PacedStore::backing_off() const { return clock_.steady_now() < trouble_.lock()->until; }

Result<Preparation> PacedStore::create(const Preparation& record, Deadline deadline) {
  return watch<Result<Preparation>>(Kind::Write, [&] { return store_.create(record, deadline); });
}

Result<Preparation> PacedStore::get(const std::string& name_space, const std::string& name, Deadline deadline) {
  return watch<Result<Preparation>>(Kind::Read, [&] { return store_.get(name_space, name, deadline); });
}

Result<std::vector<Preparation>> PacedStore::list_of_cluster(const std::string& name_space, const std::string& cluster,
                                                             Deadline deadline) {
  return watch<Result<std::vector<Preparation>>>(Kind::Read,
                                                 [&] { return store_.list_of_cluster(name_space, cluster, deadline); });
}

Result<std::vector<Preparation>> PacedStore::list_of_cluster_since(const std::string& name_space,
                                                                   const std::string& cluster,
                                                                   const std::string& written, Deadline deadline) {
  return watch<Result<std::vector<Preparation>>>(
      Kind::Read, [&] { return store_.list_of_cluster_since(name_space, cluster, written, deadline); });
}

Result<Preparation> PacedStore::update_status(const Preparation& record, Deadline deadline) {
  return watch<Result<Preparation>>(Kind::Write, [&] { return store_.update_status(record, deadline); });
}

Status PacedStore::let_go(const std::string& name_space, const std::string& name, Deadline deadline) {
  return watch<Status>(Kind::Write, [&] { return store_.let_go(name_space, name, deadline); });
}

Status PacedStore::remove(const std::string& name_space, const std::string& name, Deadline deadline) {
  return watch<Status>(Kind::Write, [&] { return store_.remove(name_space, name, deadline); });
}

}  // namespace gate
