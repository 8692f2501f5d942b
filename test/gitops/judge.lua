-- What Argo CD makes of objects, by our customizations: lua5.1 judge.lua FOLDER OBJECT...
-- prints one line for each object (JSON or YAML): its file, the health's status, and the actions that are not disabled,
-- separated by commas ("-": none).
local here = arg[0]:match("^(.*)/[^/]*$") or "."
local sandbox = dofile(here .. "/sandbox.lua")
local yaml = require("lyaml")
local root = arg[1]

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

for i = 2, #arg do
  local object = yaml.load(sandbox.read(arg[i]))
  local folder = root .. "/resource_customizations/" .. object.apiVersion:match("^(.*)/") .. "/" .. object.kind
  local health = sandbox.run(folder .. "/health.lua", object)
  assert(({Healthy = 1, Progressing = 1, Degraded = 1, Suspended = 1})[health.status], "no status of Argo CD's: " .. tostring(health.status))
  assert(health.message == nil or type(health.message) == "string", "the message is no text")
  local enabled = {}
  if exists(folder .. "/actions/discovery.lua") then
    for name, action in pairs(sandbox.run(folder .. "/actions/discovery.lua", object)) do
      if not action.disabled then table.insert(enabled, name) end
      local changed = sandbox.run(folder .. "/actions/" .. name .. "/action.lua", yaml.load(sandbox.read(arg[i])))
      assert(changed.kind == object.kind and changed.metadata.uid == object.metadata.uid, "an action returns another object")
    end
  end
  table.sort(enabled)
  print(arg[i]:match("[^/]*$"), health.status, #enabled == 0 and "-" or table.concat(enabled, ","))
end
