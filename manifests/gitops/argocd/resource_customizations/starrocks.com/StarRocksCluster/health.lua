-- Health of a StarRocksCluster behind the upgrade gate. Three parties write the status: the operator (phase, reason),
-- the gate's mirror of the preparation (upgradePreparationStatus), and the gate's kstatus conditions; the last two only
-- where the CRD extension is installed. Argo CD's Lua has no string library.
local status = obj.status or {}
local generation = (obj.metadata or {}).generation
local preparation = status.upgradePreparationStatus or {}

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local function holds(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end
local function message_of(name, otherwise)
  local message = conditions[name] and conditions[name].message
  if message == nil or message == "" then return otherwise end
  return message
end

if status.phase == "failed" then
  return {status = "Degraded", message = status.reason or "the operator reports failed"}
end
if holds("Stalled") then
  return {status = "Degraded", message = message_of("Stalled", "the upgrade needs a person")}
end
-- A closed record is history: what it failed at is nobody's problem any more. Under upgrade-admission "hold" the gate
-- retries automatically.
if preparation.phase == "Failed" and preparation.stage ~= "Closed" and not holds("Reconciling") then
  return {status = "Degraded", message = preparation.message or "the preparation failed"}
end
if status.observedGeneration ~= nil and generation ~= nil and status.observedGeneration ~= generation then
  return {status = "Progressing", message = "waiting for the upgrade gate to see this generation"}
end
if holds("Reconciling") then
  return {status = "Progressing", message = message_of("Reconciling", "the upgrade continues")}
end
if preparation.stage ~= "Closed" and (preparation.phase == "Pending" or preparation.phase == "Running") then
  return {status = "Progressing", message = preparation.message or "pre-upgrade hooks are running"}
end
if preparation.stage == "RollingOut" or preparation.stage == "Restoring" then
  return {status = "Progressing", message = preparation.message or "the rollout is in progress"}
end
if status.phase == nil or status.phase == "" then
  return {status = "Progressing", message = "the operator has not reported yet"}
end
if status.phase ~= "running" then
  return {status = "Progressing", message = status.reason or status.phase}
end
return {status = "Healthy"}
