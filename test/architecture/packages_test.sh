#!/bin/bash
# `make test` on a fresh machine skips nothing that Debian's packages provide: each program that a test looks for before it
# skips itself comes with a package that `make test` installs.
#   packages_test.sh ROOT
set -euo pipefail
root=$(realpath "${1:?usage: packages_test.sh ROOT}")
cd "$root"
# The benches are no part of it. Where the package is not called as the program. Go, and what it builds, may come from elsewhere: see go-toolchain.sh.
declare -rA package_of=([etcd]=etcd-server [ip]=iproute2 [mariadbd]=mariadb-server [promtool]=prometheus [python3]=python3-yaml
                        [lua5.1]=lua5.1 [go]=golang-go)
readonly not_debian=" kubectl docker apt-cache dpkg-query sudo "

make_test=$(make --no-print-directory --dry-run test | sed -n 's/.*install-packages\.sh //p')
[[ -n $make_test ]] || { echo "make test installs nothing"; exit 1; }
read -ra sets <<<"$make_test"
# As on a machine that has nothing: Go too is a package then.
installed=" $(build-support/install-packages.sh --list "${sets[@]}" | xargs) golang-go "

failed=0 seen=0
while read -r program; do
  [[ $not_debian != *" $program "* ]] || continue
  seen=$((seen + 1))
  package=${package_of[$program]:-$program}
  if [[ $installed != *" $package "* ]]; then
    echo "a test skips itself without $program, and make test does not install $package"
    failed=1
  fi
done < <({
  # Shell: command -v NAME, also in a loop over names; CMake: find_program(VARIABLE name).
  grep -rhoE --exclude-dir=bench --include='*.sh' 'command -v [a-z][a-z0-9.-]*' test | awk '{ print $3 }'
  grep -rhoE --exclude-dir=bench --include='*.sh' '^for program in [a-z0-9. -]+; do' test | sed 's/^for program in //; s/; do$//' | xargs -n 1
  grep -rhoE --exclude-dir=bench --include=CMakeLists.txt 'find_program\([A-Z0-9]+ [a-z0-9.-]+' test | awk '{ print $2 }'
} | sort -u)
((seen >= 8)) || { echo "only $seen programs were found: has the way in which tests look for them changed?"; exit 1; }
exit "$failed"
