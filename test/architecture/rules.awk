# The rules of the house on source text. Input: files named relative to the root. Output: RULE<tab>file:line: text
# Comments are cut off first, so a rule may be spoken about.

function violation(rule) { printf "%s\t%s:%d: %s\n", rule, FILENAME, FNR, $0 }

# Where a file stands in: main -> app -> {admission,preparation,plan,console} and {http,kubernetes,starrocks,outbound,tls,memory}
# -> net -> ports -> base -> policy.
function zone_of(path,   parts, n) {
  n = split(path, parts, "/")
  if (parts[1] == "policy" || parts[1] == "test") return parts[1]
  if (parts[1] != "server") return ""
  return n == 2 ? "root:" parts[2] : parts[2]
}
function is_adapter(zone) { return zone ~ /^(http|kubernetes|starrocks|outbound|tls|memory)$/ }
function is_job(zone) { return zone ~ /^(admission|preparation|plan|console)$/ }

# The rooms of a zone that has any, the lowest first: a room sees itself and those before it. What stands in the zone's
# own folder is above its rooms.
function rank_of_room(path,   parts, n, rooms, room) {
  n = split(path, parts, "/")
  if (parts[1] == "policy") { rooms = " text json trace versions review hooks record rollout decision "; room = parts[2] }
  else if (n > 3) { rooms = rooms_of_zone[parts[2]]; room = parts[3] }
  else return 1000
  return index(rooms, " " room " ")
}
BEGIN {
  rooms_of_zone["preparation"] = " records frontends hooks notices lifecycle "
  rooms_of_zone["kubernetes"] = " client "
}

function may_include(from, to) {
  if (from == to || from == "test") return 1
  if (to == "test") return 0
  if (from == "policy") return 0
  # The wrapper of cpp-httplib is no adapter: the only header at the server's root, for the three that speak HTTP.
  if (from == "root:httplib.hpp") return 0
  if (to == "policy") return 1
  if (from == "base") return 0
  if (to == "base") return 1
  if (from == "ports") return 0
  if (to == "root:httplib.hpp") return from ~ /^(http|kubernetes|outbound)$/
  if (to == "ports") return 1
  # What the adapters over OpenSSL and the sockets share: names to addresses, handles. It implements no port.
  if (from == "net") return 0
  if (to == "net") return from ~ /^(starrocks|outbound|tls|kubernetes|console)$/
  if (from == "admission") return to == "preparation"
  if (is_job(from) || is_adapter(from)) return 0
  if (from == "app") return is_adapter(to) || is_job(to)
  return from == "main" || from ~ /^root:main\.cpp$/
}

function project_include(target,   to) {
  to = zone_of(target)
  if (to == "") { violation("includes-from-the-root"); return }
  if (!may_include(zone, to)) violation("includes-point-right")
  else if (zone == to && zone != "test" && rank_of_room(target) > rank_of_room(FILENAME)) violation("includes-point-right")
}

function library_include(header) {
  if (header == "spdlog/spdlog.h") violation("no-default-logger")
  if (header ~ /httplib\.h$/ && FILENAME != "server/httplib.hpp") violation("httplib-in-one-file")
  if (header ~ /(^|\/)mysql\.h$/ && zone != "starrocks" && zone != "test") violation("mysql-in-one-folder")
  if (zone == "policy") {
    if (header ~ /^(thread|mutex|shared_mutex|atomic|future|condition_variable|semaphore|latch|barrier|stop_token|fstream|iostream|filesystem|unistd\.h|ctime|time\.h|sys\/.*)$/)
      violation("policy-is-pure")
    else if (header ~ /^yaml-cpp\// && FILENAME == "policy/text/yaml.cpp")
      return  # which puts the limits around it
    else if (header ~ /[\/.]/ && header !~ /^(nlohmann\/json(_fwd)?\.hpp|simdjson\.h|openssl\/(sha|evp)\.h)$/)
      violation("policy-is-pure")
  }
}

FNR == 1 { zone = zone_of(FILENAME); in_comment = 0; depth = 0 }

{
  line = $0
  if (in_comment) { if (!sub(/^.*\*\//, "", line)) next; in_comment = 0 }
  gsub(/\/\*[^*]*\*\//, "", line)
  sub(/\/\/.*$/, "", line)
  if (sub(/\/\*.*$/, "", line)) in_comment = 1
}

match(line, /^[ \t]*#[ \t]*include[ \t]*["<][^">]+[">]/) {
  header = substr(line, RSTART, RLENGTH)
  quoted = header ~ /"/
  sub(/^[^"<]*["<]/, "", header)
  sub(/[">]$/, "", header)
  if (quoted) project_include(header); else library_include(header)
  next
}

# One logger is handed in everywhere: the process-wide default one knows neither our format nor our level.
line ~ /spdlog::(trace|debug|info|warn|error|critical|log|get|set_level|(set_)?default_logger(_raw)?)[ \t]*\(/ { violation("no-default-logger") }
# Lines have members: the message is a constant, what varies is a field of its own.
zone != "test" && zone != "base" && line ~ /(^|[^a-z_])log_?(\.|->)(trace|debug|info|warn|error|critical|log)\(/ { violation("log-lines-have-members") }

# What a lock guards cannot be reached without it (server/base/guarded.hpp): no mutex stands by itself, under any name.
FILENAME != "server/base/guarded.hpp" && zone != "test" && line ~ /std::[a-z_]*mutex([^a-z_]|$)/ { violation("locks-have-values") }

line ~ /[.>]detach\(/ { violation("no-detached-threads") }
# What another process does can only be polled: such a line says so, "// sleeps: REASON".
line ~ /(^|[^a-z_])(sleep_for|sleep_until|usleep|nanosleep|sleep)[ \t]*\(/ && !/\/\/ sleeps: [^ ]/ { violation("no-sleeps") }

zone == "policy" {
  if (line ~ /(steady|system|high_resolution|utc|file)_clock|[^a-z_]time\((NULL|nullptr|0|&)|gettimeofday|clock_gettime|getenv|random_device|spdlog|std::(cout|cerr|clog)|(^|[^a-z_])(f?printf|fopen|fputs|puts|system)[ \t]*\(/)
    violation("policy-is-pure")
  # Namespace contents are not indented (.clang-format), so a definition at the margin is a global. clang-tidy sees the
  # rest (cppcoreguidelines-avoid-non-const-global-variables in policy/.clang-tidy).
  if (line ~ /thread_local/ ||
      (line ~ /^[ \t]+static[ \t]/ && line !~ /static (inline )?(const|constexpr)[ \t]/ && line !~ /\(/) ||
      (line ~ /^(static |inline )*[A-Za-z_][A-Za-z0-9_:<>, ]*[ &*]+[A-Za-z_][A-Za-z0-9_]*(\[[^]]*\])?[ \t]*(=|\{|;)/ &&
       line !~ /^(using|namespace|class|struct|enum|union|return|typedef|template|friend|extern|case|else|goto)[ \t]/ &&
       line !~ /(^|[ \t])(const|constexpr)[ \t]/ && line !~ /^[^={]*\(/))
    violation("policy-has-no-globals")
}

FNR == 801 { violation("files-of-at-most-800-lines") }
