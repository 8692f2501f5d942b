-- "retry" where the newest preparation failed (its record is closed as soon as the settings are restored, and the change
-- waits for the next attempt all the same), "resume" where a led rollout is paused; both write an annotation, nothing else.
local status = obj.status or {}
local preparation = status.upgradePreparationStatus or {}
local paused = false
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Stalled" and condition.status == "True" and condition.reason == "RolloutPaused" then
    paused = true
  end
end
return {
  ["retry"] = {
    ["displayName"] = "Retry the upgrade preparation",
    ["disabled"] = preparation.phase ~= "Failed",
  },
  ["resume"] = {["displayName"] = "Resume the paused rollout", ["disabled"] = not paused},
}
