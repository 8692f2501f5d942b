-- Runs the Argo CD customizations as Argo CD would (sandbox.lua); the tests lie beside them in upstream's layout.
-- usage: lua5.1 argocd_test.lua FOLDER
local yaml = require("lyaml")
local root = arg[1]
local passed, failed = 0, 0

local sandbox = dofile(arg[0]:match("^(.*)/[^/]*$") .. "/sandbox.lua")
local read, run = sandbox.read, sandbox.run

local function check(name, expected, actual)
  if expected == actual then
    passed = passed + 1
    return
  end
  failed = failed + 1
  print("FAILED: " .. name .. "\n  expected: " .. tostring(expected) .. "\n  got:      " .. tostring(actual))
end

local function folder_of(path) return path:match("^(.*)/[^/]*$") end

local function health(path)
  for _, case in ipairs(yaml.load(read(path)).tests) do
    local got = run(folder_of(path) .. "/health.lua", yaml.load(read(folder_of(path) .. "/" .. case.inputPath)))
    check(path .. " " .. case.inputPath, case.healthStatus.status .. ": " .. case.healthStatus.message,
      got.status .. ": " .. (got.message or ""))
  end
end

local function actions(path)
  local tests = yaml.load(read(path))
  for _, case in ipairs(tests.discoveryTests) do
    local got = run(folder_of(path) .. "/discovery.lua", yaml.load(read(folder_of(path) .. "/" .. case.inputPath)))
    for _, wanted in ipairs(case.result) do
      local one = got[wanted.name] or {}
      check(path .. " " .. case.inputPath .. " " .. wanted.name, wanted.displayName .. tostring(wanted.disabled),
        tostring(one.displayName) .. tostring(one.disabled))
    end
  end
  for _, case in ipairs(tests.actionTests) do
    local before = yaml.load(read(folder_of(path) .. "/" .. case.inputPath))
    local got = run(folder_of(path) .. "/" .. case.action .. "/action.lua", before)
    local value = got.metadata.annotations[case.annotation]
    check(path .. " " .. case.action, true, value ~= nil and value:match("^%d+%-%d+%-%d+T%d+:%d+:%d+Z$") ~= nil)
    got.metadata.annotations = nil
    check(path .. " " .. case.action .. " changes nothing else",
      yaml.dump({yaml.load(read(folder_of(path) .. "/" .. case.inputPath))}), yaml.dump({got}))
  end
end

local found = assert(io.popen("find '" .. root .. "' -name '*_test.yaml' | sort"))
for path in found:lines() do
  if path:match("health_test.yaml$") then health(path) else actions(path) end
end
found:close()
print(passed .. " passed, " .. failed .. " failed")
os.exit((failed == 0 and passed > 0) and 0 or 1)
