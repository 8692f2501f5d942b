#!/bin/bash
# Runs test stages one after the other, whatever becomes of the earlier ones, and closes with one line of counts.
# usage: test.sh STAGE...    dev, release (every test); asan, tsan (unit and integration); manifests, chart, image (scripts)
# A test is one doctest case, one case that a script counts itself, or else one CTest entry. One that cannot run here
# exits with 77 and says why; it is listed, and counted as skipped.
#   CI=true         warnings are errors
#   STAGE_LABELS    regular expression of CTest labels, instead of the stage's own
#   JOBS            parallel compilers and tests (default: the processors)
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

jobs=${JOBS:-$(nproc)}
# One line for each CTest entry or script: stage, name, passed, failed, skipped, reason; separated by tabs.
results=$(mktemp)
trap 'rm -f "$results" "$results".*' EXIT

record() { printf '%s\t%s\t%d\t%d\t%d\t%s\n' "$@" >>"$results"; }

# Reads a JUnit file of ctest. What a test printed decides the count; its exit code can only make it worse.
record_junit() { # STAGE FILE
  awk -v stage="$1" -f build-support/count-tests.awk "$2" >>"$results"
}

run_ctest() { # STAGE
  local stage=$1 labels=${STAGE_LABELS:-} junit log rc launcher=() without=()
  junit=$results.xml log=$results.log
  rm -f "$junit"
  case $stage in
    asan | tsan) labels=${labels:-'^(unit|integration)$'} ;;
  esac
  # Minutes of their own: only when asked for by label.
  [ -n "$labels" ] || without=(--label-exclude '^long$')
  # Where the kernel randomizes more address bits than GCC's TSan knows, every program would die at start.
  if [ "$stage" = tsan ] && setarch --addr-no-randomize true 2>/dev/null; then launcher=(setarch --addr-no-randomize); fi

  echo "=== $stage"
  if ! { cmake --preset "$stage" -DGATE_WERROR="$([ "${CI:-}" = true ] && echo ON || echo OFF)" &&
    cmake --build --preset "$stage" --parallel "$jobs" -- -k 0; } >"$log" 2>&1; then
    grep -E -A 12 'error|Error|FAILED' "$log" | head -n 200
    record "$stage" "build" 0 1 0 "does not configure or build"
    return
  fi

  # The counting needs the end of a test's output, which ctest would cut to 1 KiB.
  "${launcher[@]}" ctest --test-dir "build/$stage" --parallel "$jobs" --no-tests=error --output-on-failure \
    --output-junit "$junit" --test-output-size-passed 1000000 --test-output-size-failed 1000000 \
    ${labels:+--label-regex "$labels"} "${without[@]}" >"$log" 2>&1
  local rc=$?
  # The stage's own closing lines would look like the whole run's.
  sed -E '/tests passed, .*tests failed out of/d; /^(Internal ctest|Test project|Label Time)/d' "$log"
  if [ ! -s "$junit" ]; then
    record "$stage" "ctest" 0 1 0 "ran no test (exit code $rc)"
    return
  fi
  record_junit "$stage" "$junit"
  if [ $rc -ne 0 ] && ! awk -F '\t' -v s="$stage" '$1 == s && $4 > 0 { found = 1 } END { exit !found }' "$results"; then
    record "$stage" "ctest" 0 1 0 "exit code $rc"
  fi
}

run_script() { # STAGE COMMAND...
  local stage=$1 log=$results.log rc start
  shift
  echo "=== $stage"
  start=$SECONDS
  "$@" </dev/null >"$log" 2>&1
  rc=$?
  [ $rc -eq 0 ] || cat "$log"
  echo "$stage: exit code $rc after $((SECONDS - start)) s"
  # The same reader as for ctest: one test case with this output.
  { printf '<testcase name="%s" %s>\n<system-out>' "$(basename "$1")" \
      "$(case $rc in 0) echo 'status="run"' ;; 77) printf 'status="notrun">\n<skipped message="SKIP_RETURN_CODE=77"/' ;;
         *) echo 'status="fail"' ;; esac)"
    sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g' "$log"
    printf '</system-out>\n</testcase>\n'; } >"$results.xml"
  record_junit "$stage" "$results.xml"
}

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-second_deadlock_stack=1}

[ $# -gt 0 ] || { echo "usage: test.sh STAGE..." >&2; exit 2; }
for stage in "$@"; do
  case $stage in
    dev | release)
      # The e2e tests skip themselves, with the reason, where there is no API server.
      if [[ e2e =~ ${STAGE_LABELS:-e2e} || chaos =~ ${STAGE_LABELS:-e2e} ]] && assets=$(build-support/build-kubernetes.sh); then
        export KUBEBUILDER_ASSETS=$assets
      fi
      run_ctest "$stage" ;;
    asan | tsan) run_ctest "$stage" ;;
    manifests) run_script manifests test/e2e/manifests_test.sh ;;
    chart) run_script chart test/chart/chart_test.sh ;;
    image) run_script image test/image/image_test.sh ;;
    *) echo "test.sh: unknown stage '$stage'" >&2; exit 2 ;;
  esac
done

echo
awk -F '\t' '
  $5 > 0 { skips = skips sprintf("  %s/%s: %s\n", $1, $2, $6) }
  $4 > 0 { fails = fails sprintf("  %s/%s: %s\n", $1, $2, $6) }
  { passed += $3; failed += $4; skipped += $5 }
  END {
    if (skips) printf "skipped:\n%s", skips
    if (fails) printf "failed:\n%s", fails
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit failed > 0 || passed == 0
  }' "$results"
