-- "retry" where a preparation failed, "resume" where a led rollout is paused; both write an annotation, nothing else.
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
    ["disabled"] = not (preparation.phase == "Failed" and preparation.stage ~= "Closed"),
  },
  ["resume"] = {["displayName"] = "Resume the paused rollout", ["disabled"] = not paused},
}
