-- Health of a preparation's record: a leaf below the StarRocksCluster in the resource tree.
local status = obj.status or {}
local message = status.message
if message == "" then message = nil end

if status.stage == "Closed" and not status.restoreOwed then
  return {status = "Healthy", message = status.outcome}
end
if status.phase == "Failed" then
  return {status = "Degraded", message = message or "the preparation failed"}
end
for _, turn in ipairs(status.turns or {}) do
  if turn.phase == "Paused" then
    return {status = "Suspended", message = turn.waitingFor or "the rollout is paused"}
  end
end
return {status = "Progressing", message = message or status.stage or "not begun"}
