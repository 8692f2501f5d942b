-- For wrk: posts the file named by BENCH_BODY as the API server would, and prints one line of figures.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "application/json, */*"
wrk.headers["Accept-Encoding"] = "gzip"
wrk.headers["User-Agent"] = "kube-apiserver-admission"
file:close()

-- Milliseconds before each request.
local pause = tonumber(os.getenv("BENCH_PAUSE") or "0")
if pause > 0 then
  function delay() return pause end
end

-- With BENCH_ALLOWED an answer that refuses is a failure: a refusal may be quicker than what is measured.
refused = 0
local server
function setup(thread) server = thread end
if os.getenv("BENCH_ALLOWED") then
  function response(status, headers, body)
    if not body:find('"allowed":true', 1, true) then refused = refused + 1 end
  end
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format("RESULT %d %d %d %d %d %d", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), latency.max, errors.connect + errors.read + errors.write + errors.status + errors.timeout + server:get("refused")))
end
