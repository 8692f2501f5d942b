#include "server/kubernetes/client/resource_watch.hpp"

#include <charconv>
#include <exception>
#include <new>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "policy/json/json_member.hpp"
#include "policy/versions/image_change.hpp"
#include "server/base/attempt.hpp"
#include "server/base/backoff.hpp"

namespace gate {
namespace {

using nlohmann::json;

constexpr int kExpired = 410;
/// A watch that ends sooner did not do what it was asked for.
constexpr std::chrono::seconds kShortWatch{1};

std::string metadata_text(const json& object, const char* key) { return text_of(member_at(object, {"metadata", key})); }

/// `least` to one and a half times as much.
template <class Duration>
Duration jittered(Duration least) {
  thread_local std::minstd_rand random(std::random_device{}());
  return least + Duration(std::uniform_int_distribution<typename Duration::rep>(0, least.count() / 2)(random));
}

}  // namespace

std::optional<std::uint64_t> revision(const std::string& resource_version) {
  std::uint64_t number = 0;
  const char* const end = resource_version.data() + resource_version.size();
  const auto [at, failure] = std::from_chars(resource_version.data(), end, number);
  if (failure != std::errc{} || at != end || resource_version.empty()) return std::nullopt;
  return number;
}

ResourceWatch::ResourceWatch(KubeClient& client, KubeResource resource, ResourceWatchOptions options, Logger& log,
                             Observer observer)
    : client_(client), resource_(resource), options_(std::move(options)), log_(log), observer_(std::move(observer)) {}

ResourceWatch::~ResourceWatch() = default;

void ResourceWatch::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void ResourceWatch::stop() {
  thread_ = {};  // asks it to stop, and joins
}

bool ResourceWatch::has_reached(const std::string& resource_version, Deadline until) {
  const auto wanted = revision(resource_version);
  if (!wanted) return false;
  return reached_.lock().wait_until(advanced_, until, [&](std::uint64_t reached) { return reached >= *wanted; });
}

void ResourceWatch::set_version(std::string resource_version) {
  resource_version_ = std::move(resource_version);
  *reached_.lock() = revision(resource_version_).value_or(0);
  advanced_.notify_all();
}

void ResourceWatch::run(const std::stop_token& stop) {
  Backoff backoff(options_.backoff_base, options_.backoff_max);
  while (!stop.stop_requested()) {
    const bool relisted = resource_version_.empty();
    const auto started = std::chrono::steady_clock::now();
    opened_ = false;
    Status outcome = Ok{};
    const bool whole = attempt(log_, "watch failed", [&] {
      if (relisted) outcome = list_all(stop);
      if (!outcome.ok()) return;
      if (relisted) synced_ = true;
      outcome = watch_once(stop);
    });
    if (!whole) {
      // Somebody was perhaps not told of what came last.
      set_version({});
      outcome = Error{ErrorCode::Internal, {}};
    }
    if (stop.stop_requested()) break;
    const auto lasted = std::chrono::steady_clock::now() - started;
    // One that opens and breaks at once, for ever, is in trouble as much as one that does not open.
    if (outcome.ok() || (opened_ && lasted >= options_.steady_after)) backoff.reset();
    if (outcome.ok()) {
      // The server ended it in good order. One that does so all the time must not be called in a tight loop.
      if (lasted < kShortWatch) pause_for(backoff.next(), stop);
      continue;
    }
    // Behind by an unknown amount until the stream is open again, or a new list is through.
    synced_ = false;
    const bool expired = outcome.error().peer_code == kExpired;
    if (expired) set_version({});
    if (expired && !relisted) continue;  // list at once; a server that expires everything meets the back-off below
    if (!interruption_told_ && whole) {
      log_limited(interruptions_, std::chrono::steady_clock::now(), log_, LogLevel::Warning, "watch interrupted",
                  {{"resource", resource_.plural}, {"error", outcome.error().message}});
      interruption_told_ = true;
    }
    pause_for(backoff.next(), stop);
  }
}

Status ResourceWatch::list_all(const std::stop_token& stop) {
  listed_.clear();
  KubeClient::ListRequest request;
  request.resource = resource_;
  request.name_space = options_.name_space;
  request.metadata_only = options_.metadata_only;
  request.keep = options_.keep;
  request.stop = stop;
  request.on_unreadable = [this](const std::string& why) { tell_unreadable(why); };
  request.on_item = [this](const json& object) {
    listed_.emplace(metadata_text(object, "namespace"), metadata_text(object, "name"));
    take(object, false);
  };
  auto version = client_.list_each(request, std::chrono::steady_clock::now() + options_.list_timeout);
  if (!version) return version.error();
  for (auto it = seen_.begin(); it != seen_.end();) {
    const auto gone = it++;
    if (listed_.contains(gone->first)) continue;
    const auto known = *gone;
    report_removed(known.first, known.second);
  }
  listed_.clear();
  set_version(*std::move(version));
  return Ok{};
}

void ResourceWatch::tell_unreadable(const std::string& why) {
  log_limited(unreadable_, std::chrono::steady_clock::now(), log_, LogLevel::Error, "object skipped",
              {{"resource", resource_.plural}, {"error", why}});
}

Status ResourceWatch::watch_once(const std::stop_token& stop) {
  WatchRequest request;
  request.resource = resource_;
  request.name_space = options_.name_space;
  request.resource_version = resource_version_;
  request.timeout = jittered(options_.watch_timeout);
  request.metadata_only = options_.metadata_only;
  request.keep = options_.keep;
  request.on_unreadable = [this](const std::string& why) { tell_unreadable(why); };
  request.on_open = [this] {
    opened_ = true;
    synced_ = true;
    if (std::exchange(interruption_told_, false)) {
      log_limited(recoveries_, std::chrono::steady_clock::now(), log_, LogLevel::Info, "watch works again",
                  {{"resource", resource_.plural}});
    }
  };
  request.on_event = [this](WatchEventType type, const json& object) {
    if (type != WatchEventType::Bookmark) take(object, type == WatchEventType::Deleted);
    if (std::string version = metadata_text(object, "resourceVersion"); !version.empty()) {
      set_version(std::move(version));
    }
  };
  return client_.watch(request, stop);
}

void ResourceWatch::take(const json& object, bool removed) {
  Key key{metadata_text(object, "namespace"), metadata_text(object, "name")};
  Seen now{metadata_text(object, "uid"), metadata_text(object, "resourceVersion")};
  if (!removed) {
    const auto known = seen_.find(key);
    if (known != seen_.end() && known->second.uid != now.uid) {
      const Seen before = known->second;
      report_removed(key, before);  // deleted and created anew while we looked away
    } else if (known != seen_.end() && known->second.resource_version == now.resource_version) {
      return;  // a repeat after a list
    }
  }
  tell(object, removed, key);
  // Afterwards: what could not be told for want of memory is told by the next list.
  if (removed) {
    seen_.erase(key);
  } else {
    seen_[key] = std::move(now);
  }
}

/// An object that the observer cannot take is no reason to stop; memory that is missing is, for a while.
void ResourceWatch::tell(const json& object, bool removed, const Key& key) {
  try {
    observer_(object, removed);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& fault) {
    log_error(log_, "observer failed",
              {{"resource", resource_.plural}, {"object", key.first + "/" + key.second}, {"error", fault.what()}});
  }
}

void ResourceWatch::report_removed(const Key& key, const Seen& seen) {
  take({{"metadata", {{"namespace", key.first}, {"name", key.second}, {"uid", seen.uid}}}}, true);
}

namespace {

ResourceWatchOptions of_identities(ResourceWatchOptions options) {
  options.metadata_only = true;
  options.keep = &only_identity();
  return options;
}

}  // namespace

ClusterWatch::ClusterWatch(KubeClient& client, ResourceWatchOptions options, Logger& log, const Observer& observer)
    : clusters_(client, kube::kClusters, of_identities(options), log,
                [observer](const json& object, bool removed) { observer(kClusterKind, object, removed); }),
      warehouses_(client, kube::kWarehouses, of_identities(std::move(options)), log,
                  [observer](const json& object, bool removed) { observer(kWarehouseKind, object, removed); }) {}

void ClusterWatch::start() {
  clusters_.start();
  warehouses_.start();
}

}  // namespace gate
