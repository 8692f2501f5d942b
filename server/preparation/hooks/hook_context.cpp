#include "server/preparation/hooks/hook_context.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "policy/text/text.hpp"

namespace gate {
namespace {

using std::chrono::seconds;

/// One exchange with the API server; it answers within a few milliseconds or is in trouble.
constexpr seconds kStoreTimeout{10};
/// One question about the FE's memory.
constexpr seconds kReadTimeout{5};

}  // namespace

HookContext::HookContext(ClaimedRecord& claim, const HookPeers& peers, const Clock& time, std::vector<SqlKind> further)
    : record(claim),
      clusters(peers.clusters),
      http(peers.http, claim),
      scripts(peers.scripts, claim),
      clock(time),
      further_sql(std::move(further)),
      connector_(peers.connector, claim),
      mode_(claim.snapshot().spec.mode) {}

Deadline HookContext::store_deadline() const { return clock.steady_now() + kStoreTimeout; }

Result<FrontendFleet*> HookContext::fleet(Deadline deadline) {
  if (!fleet_) {
    const auto now = record.snapshot();
    const auto until = within(kStoreTimeout, deadline);
    // A hook before it may have taken hours.
    const bool knows = !cluster_.is_null() && clock.steady_now() < cluster_counts_until_;
    auto access = knows ? clusters.frontend_access_of(cluster_, now.name_space, now.spec.cluster, until)
                        : clusters.frontend_access(now.name_space, now.spec.cluster, until);
    cluster_ = nullptr;  // another time it may be another
    if (!access) return access.error();
    keep_secret(access->password);
    fleet_.emplace(connector_, std::move(access).value(), clock);
  }
  return &*fleet_;
}

void HookContext::keep_secret(const std::string& value) {
  const auto keep = [&](std::string one) {
    if (std::find(secrets_.begin(), secrets_.end(), one) == secrets_.end()) secrets_.push_back(std::move(one));
  };
  keep(value);
  // As JSON writes it, some writers with an escape before each slash.
  std::string in_json = nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  in_json = in_json.substr(1, in_json.size() - 2);
  keep(in_json);
  for (auto slash = in_json.find('/'); slash != std::string::npos; slash = in_json.find('/', slash + 2)) {
    in_json.insert(slash, 1, '\\');
  }
  keep(std::move(in_json));
}

Error HookContext::hide(Error error) const {
  error.message = hide(std::move(error.message));
  return error;
}

Result<std::string> HookContext::run_mode(Deadline deadline) {
  if (!run_mode_.empty()) return run_mode_;
  const auto frontends = fleet(deadline);
  if (!frontends) return frontends.error();
  const auto rows = (*frontends)->execute(show_config_sql("run_mode"), within(kReadTimeout, deadline));
  if (!rows) return rows.error();
  // Before 3.0 there was one kind only, and no such item.
  run_mode_ = rows->rows.empty() ? "shared_nothing" : clean_text(rows->text(0, "Value"), 40);
  return run_mode_;
}

Status HookContext::record_undo(const PendingUndo& undo) {
  const auto pending = [&](const PreparationStatus& status) {
    return std::find(status.undo.begin(), status.undo.end(), undo) != status.undo.end();
  };
  if (pending(record.snapshot().status)) return Ok{};
  return record.update(
      [&](PreparationStatus& status) {
        if (pending(status)) return;
        status.undo.push_back(undo);
        status.restore_pending = true;
        status.restored_time.reset();
      },
      store_deadline());
}

}  // namespace gate
