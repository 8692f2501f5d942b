#!/bin/bash
# Builds the libFuzzer targets with clang and runs each for FUZZ_SECONDS (60). New inputs that reach more code are kept
# in build/fuzz/corpus/, beside the seeds in test/fuzz/corpus/; a crash leaves its input in build/fuzz/crashes/.
# usage: fuzz.sh [TARGET...]
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
seconds=${FUZZ_SECONDS:-60}

cmake --preset fuzz >/dev/null && cmake --build --preset fuzz --target test/fuzz/all --parallel "${JOBS:-$(nproc)}" || exit 1
if [ $# -gt 0 ]; then targets=("$@"); else
  mapfile -t targets < <(find build/fuzz/test/fuzz -maxdepth 1 -type f -executable -printf '%f\n' | sort)
fi
[ ${#targets[@]} -gt 0 ] || { echo "fuzz: no target was built" >&2; exit 1; }

failed=()
mkdir -p build/fuzz/crashes
for target in "${targets[@]}"; do
  corpus=build/fuzz/corpus/$target
  mkdir -p "$corpus"
  seeds=()
  part=${target#fuzz_}
  if [ -d "test/fuzz/corpus/$part" ]; then seeds=("test/fuzz/corpus/$part"); fi
  if [ -f "test/fuzz/$part.dict" ]; then seeds+=("-dict=test/fuzz/$part.dict"); fi
  echo "=== $target, $seconds s"
  if ! "build/fuzz/test/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/crashes/$target-" "$corpus" "${seeds[@]}" >"build/fuzz/$target.log" 2>&1; then
    failed+=("$target")
    tail -n 60 "build/fuzz/$target.log"
  else
    grep -E '^stat::(number_of_executed_units|average_exec_per_sec)' "build/fuzz/$target.log"
  fi
done
if [ ${#failed[@]} -gt 0 ]; then echo "fuzz: failed: ${failed[*]}" >&2; exit 1; fi
echo "fuzz: ${#targets[@]} targets, no finding"
