-- Runs a customization as Argo CD would: Lua 5.1 with base, table, package and a safe os only, `obj` global.
local sandbox = {}

function sandbox.read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  return text
end

-- What upstream's util/lua/lua.go opens without useOpenLibs.
local function environment(object)
  local safe = {date = os.date, time = os.time}
  local env = {obj = object, ipairs = ipairs, pairs = pairs, next = next, type = type, tostring = tostring,
    tonumber = tonumber, error = error, assert = assert, pcall = pcall, select = select, unpack = unpack, table = table,
    setmetatable = setmetatable, getmetatable = getmetatable, rawget = rawget, rawset = rawset, os = safe}
  env._G = env
  env.require = function(name) return assert(({os = safe, table = table})[name], "no library " .. name) end
  return env
end

function sandbox.run(path, object)
  local chunk = assert(loadstring(sandbox.read(path), "@" .. path))
  return setfenv(chunk, environment(object))()
end

return sandbox
