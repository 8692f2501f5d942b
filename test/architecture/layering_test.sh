#!/bin/bash
# The picture in ARCHITECTURE.md, enforced: linking cannot see an include that points left, this can. First the rules
# are shown bad samples, each of which must be caught, and good ones, which must not; then they judge the tree.
# usage: layering_test.sh ROOT
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$1" && pwd)
passed=0 failed=0

# Prints RULE<tab>where for everything wrong in the tree below $1.
judge() {
  cd "$1"
  local files
  mapfile -t files < <(find policy server test -name build -prune -o \( -name '*.cpp' -o -name '*.hpp' \) -print 2>/dev/null | sort)
  if [ ${#files[@]} -eq 0 ]; then return; fi
  awk -f "$here/rules.awk" "${files[@]}"
  # A source that no CMakeLists.txt names is compiled by nobody, and a test there is run by nobody.
  local file folder
  for file in "${files[@]}"; do
    case $file in *.cpp) ;; *) continue ;; esac
    folder=$(dirname "$file")
    while [ "$folder" != . ] && [ ! -e "$folder/CMakeLists.txt" ]; do folder=$(dirname "$folder"); done
    # The nearest list names it, or any list by its whole path.
    is_listed "$(basename "$file")" "$folder/CMakeLists.txt" ||
      grep -rqwF --include=CMakeLists.txt --exclude-dir=build -e "$file" . || printf 'sources-are-built\t%s\n' "$file"
  done
}

# By its name, or by a loop over names: foreach(part sql ...) ... ${part}_test.cpp
is_listed() { # NAME.cpp CMAKELISTS
  local text stem=${1%.cpp} suffix=.cpp
  text=$(sed 's/#.*//' "$2" 2>/dev/null) || return 1
  if grep -qwF -e "$1" <<<"$text"; then return 0; fi
  case $stem in *_test) stem=${stem%_test} suffix=_test.cpp ;; *_fuzz) stem=${stem%_fuzz} suffix=_fuzz.cpp ;; esac
  grep -qF -e "}$suffix" <<<"$text" && grep -qwF -e "$stem" <<<"$text"
}

check() { # NAME EXPECTED ACTUAL
  if [ "$2" = "$3" ]; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    printf 'FAILED: %s\n  expected: %s\n  got:      %s\n' "$1" "${2:-nothing}" "${3:-nothing}"
  fi
}

# sample RULE|ok FILE TEXT: a tree of that one file must break exactly that rule.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
sample() {
  local expected=$1 file=$2 text=$3 tree=$scratch/tree
  rm -rf "$tree"
  mkdir -p "$tree/$(dirname "$file")"
  printf '%b\n' "$text" >"$tree/$file"
  case $expected in sources-are-built) : >"$tree/$(dirname "$file")/CMakeLists.txt" ;;
    *) basename "$file" >"$tree/$(dirname "$file")/CMakeLists.txt" ;; esac
  if [ "$expected" = ok ]; then expected=; fi
  check "sample $file: $text" "$expected" "$(judge "$tree" | cut -f 1 | sort -u | xargs)"
}

sample includes-point-right policy/text/a.cpp '#include "server/ports/clock.hpp"'
sample includes-point-right policy/text/a.cpp '#include "policy/hooks/hook.hpp"'
sample includes-point-right policy/record/a.cpp '#include "policy/decision/decision.hpp"'
sample includes-point-right server/preparation/records/a.cpp '#include "server/preparation/hooks/settings.hpp"'
sample includes-point-right server/preparation/notices/a.cpp '#include "server/preparation/lifecycle/controller.hpp"'
sample includes-point-right server/kubernetes/client/a.cpp '#include "server/kubernetes/frontend_pods.hpp"'
sample includes-point-right server/preparation/a.cpp '#include "server/admission/admission_service.hpp"'
sample includes-point-right server/plan/a.cpp '#include "server/preparation/a.hpp"'
sample includes-point-right server/kubernetes/a.cpp '#include "server/preparation/a.hpp"'
sample includes-point-right server/http/a.cpp '#include "server/tls/store.hpp"'
sample includes-point-right server/ports/a.hpp '#include "server/http/server.hpp"'
sample includes-point-right server/http/a.cpp '#include "server/starrocks/session.hpp"'
sample includes-point-right server/starrocks/a.cpp '#include "server/httplib.hpp"'
sample includes-point-right server/preparation/a.cpp '#include "server/app/app.hpp"'
sample includes-point-right server/tls/a.cpp '#include "server/http/server.hpp"'
sample includes-point-right server/app/a.cpp '#include "server/main/flags.hpp"'
sample includes-point-right server/app/a.cpp '#include "test/fakes/clock.hpp"'
sample includes-point-right server/outbound/a.cpp '#include "server/starrocks/session.hpp"'
sample includes-point-right server/net/a.cpp '#include "server/starrocks/session.hpp"'
sample includes-point-right server/net/a.cpp '#include "server/httplib.hpp"'
sample includes-point-right server/ports/a.hpp '#include "server/net/host_resolver.hpp"'
sample includes-point-right server/preparation/a.cpp '#include "server/net/host_resolver.hpp"'
sample includes-point-right server/httplib.hpp '#include "policy/text/result.hpp"'
sample includes-from-the-root policy/text/a.cpp '#include "result.hpp"'
sample httplib-in-one-file server/http/a.cpp '#include <httplib.h>'
sample httplib-in-one-file test/integration/a.cpp '#include <httplib.h>'
sample mysql-in-one-folder server/preparation/a.cpp '#include <mysql/mysql.h>'
sample policy-is-pure policy/text/a.cpp '#include <thread>'
sample policy-is-pure policy/text/a.cpp '#include <spdlog/logger.h>'
sample policy-is-pure policy/text/a.cpp '#include <openssl/ssl.h>'
sample policy-is-pure policy/text/a.cpp '#include <yaml-cpp/yaml.h>'
sample policy-is-pure policy/text/a.cpp 'auto f() { return std::chrono::system_clock::now(); }'
sample policy-is-pure policy/text/a.cpp 'void f() { std::cerr << 1; }'
sample policy-is-pure policy/text/a.cpp 'void f() { std::printf("a"); }'
sample policy-has-no-globals policy/text/a.cpp 'std::string cache;'
sample policy-has-no-globals policy/text/a.cpp 'static int calls = 0;'
sample policy-has-no-globals policy/text/a.cpp 'void f() {\n  static int calls = 0;\n}'
sample policy-has-no-globals policy/text/a.cpp 'void f() {\n  thread_local const int x = 0;\n}'
sample no-detached-threads server/app/a.cpp 'void f(std::thread& t) { t.detach(); }'
sample no-sleeps server/app/a.cpp 'void f() { std::this_thread::sleep_for(1s); }'
sample no-sleeps test/fakes/a.cpp 'void f() { ::usleep(5); }'
sample no-sleeps test/fakes/a.cpp 'void f() { sleep_for(1s); }  // sleeps:'
sample no-default-logger server/kubernetes/a.cpp 'void f() { spdlog::warn("a"); }'
sample no-default-logger server/kubernetes/a.cpp '#include <spdlog/spdlog.h>'
sample log-lines-have-members server/http/a.cpp 'void f() { log_.warn("a name={}", 1); }'
sample locks-have-values server/kubernetes/a.hpp 'class A {\n  mutable std::mutex mutex_;\n};'
sample locks-have-values server/tls/a.hpp 'std::mutex reload_mutex_;'
sample locks-have-values server/tls/a.cpp 'std::array<std::shared_mutex, 2> locks;'
sample includes-point-right server/base/a.hpp '#include "server/ports/clock.hpp"'
sample files-of-at-most-800-lines policy/text/a.cpp "$(printf '\\n%.0s' {1..801})"
sample sources-are-built test/policy/text/a_test.cpp 'int f();'

sample ok server/ports/a.hpp '#include "server/base/guarded.hpp"'
sample ok server/base/guarded.hpp 'mutable std::mutex mutex_;'
sample ok server/kubernetes/a.cpp '#include <spdlog/logger.h>\n#include "server/base/log.hpp"\nvoid f() { log_warning(log_, "a", {{"name", 1}}); }'
sample ok policy/decision/a.cpp '#include "policy/record/preparation.hpp"'
sample ok server/admission/a.cpp '#include "server/preparation/lifecycle/controller.hpp"\n#include "server/ports/clock.hpp"'
sample ok server/preparation/lifecycle/a.cpp '#include "server/preparation/hooks/settings.hpp"'
sample ok server/kubernetes/a.cpp '#include "server/kubernetes/client/kube_client.hpp"'
sample ok server/kubernetes/client/a.cpp '#include "server/kubernetes/client/kube_client.hpp"'
sample ok server/tls/a.cpp '#include <mutex>\nstd::once_flag once;'
sample ok server/app/a.cpp '#include "server/http/server.hpp"\n#include "server/ports/clock.hpp"\n#include "policy/text/result.hpp"'
sample ok server/main/main.cpp '#include "server/app/app.hpp"'
sample ok server/http/a.cpp '#include "server/httplib.hpp"'
sample ok server/outbound/a.cpp '#include "server/httplib.hpp"\n#include "server/net/host_resolver.hpp"'
sample ok server/tls/a.cpp '#include "server/net/freer.hpp"'
sample ok server/starrocks/a.cpp '#include <mysql.h>'
sample ok server/httplib.hpp '#include <httplib.h>'
sample ok policy/text/a.cpp '// no thread.detach() and no sleep_for(1s) here\n#include <chrono>\n#include <openssl/evp.h>\n#include <nlohmann/json.hpp>'
sample ok policy/text/a.cpp 'constexpr int kLimit = 3;\nconst std::string kName = "a";\nstd::string f(int a);\nint g() { return std::snprintf(nullptr, 0, "a"); }\nint f(int a = 1) {\n  static const int kOne = 1;\n  return a;\n}\nstruct A {\n  static A make();\n  int b = 0;\n};'
sample ok policy/text/yaml.cpp '#include <yaml-cpp/parser.h>'
sample ok test/e2e/a.cpp 'void f() { sleep_for(kPoll); }  // sleeps: polls the API server'
sample ok test/policy/text/a_test.cpp '#include "policy/text/result.hpp"\n#include "server/ports/clock.hpp"'

violations=$(judge "$root")
rules=(includes-point-right includes-from-the-root httplib-in-one-file mysql-in-one-folder policy-is-pure
  no-default-logger log-lines-have-members locks-have-values
  policy-has-no-globals no-detached-threads no-sleeps files-of-at-most-800-lines sources-are-built)
for rule in "${rules[@]}"; do
  check "$rule in the tree" "" "$(printf '%s\n' "$violations" | awk -F '\t' -v r="$rule" '$1 == r { print $2 }')"
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
