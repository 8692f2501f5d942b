#!/bin/bash
# kubectl_complete-upgrade_gate knows every command and every flag that the program's option tables have: what it offers is
# compared with the names in the sources (server/app, server/console), and the program must take what it offers.
#   completion_test.sh UPGRADE_GATE
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")
binary=$(realpath "${1:?usage: completion_test.sh UPGRADE_GATE}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$binary" "$work/kubectl-upgrade_gate"
# Stands in for kubectl: names what it was asked for.
cat >"$work/kubectl" <<'END'
#!/bin/sh
echo "$*" >>"$KUBECTL_CALLS"
case "$*" in
  'get namespaces'*) printf 'namespace/default\nnamespace/production\n' ;;
  'config get-contexts'*) printf 'kind\nstaging\n' ;;
  'get starrocksclusters'*) printf 'starrockscluster.starrocks.com/sr\nstarrockscluster.starrocks.com/analytics\n' ;;
esac
END
chmod 755 "$work/kubectl"
export KUBECTL_CALLS=$work/calls PATH="$work:$PATH"
complete() { "$root/manifests/plugin/kubectl_complete-upgrade_gate" "$@"; }

passed=0 failed=0
same() { # NAME EXPECTED ACTUAL
  if [[ $2 == "$3" ]]; then passed=$((passed + 1)); else failed=$((failed + 1)); printf 'FAILED: %s\nexpected: %s\ngot:      %s\n' "$1" "$2" "$3"; fi
}
lines() { tr '\n' ' ' | sed 's/ $//'; }

# --- Every command and flag of the option tables --------------------------------------------------------------------------
sources=("$root/server/app/options.cpp" "$root/server/app/console_options.cpp")
commands=$({ grep -zoP 'add_subcommand\(\s*"\K[a-z]+' "${sources[@]}" | tr '\0' '\n' | sed 's/.*://'
  grep -oP 'Command\{"\K[a-z]+' "${sources[@]}" | sed 's/.*://'; } | sort)
same "at least the commands of today" yes "$( (($(wc -l <<<"$commands") >= 11)) && echo yes)"
same "all commands" "$(lines <<<"$commands") :4" "$(complete '' | sort | grep -v '^:' | lines) :4"
tables=$(grep -ohP '"\K(-[a-zA-Z],)?--[a-z][a-z-]+(?=")' "${sources[@]}" | tr ',' '\n' | sort -u)
offered=''
for command in $commands; do
  flags=$(complete "$command" - | grep -v '^:')
  offered+=$flags$'\n'
  # The program's help is the other witness: each flag there is offered, and nothing else.
  same "flags of $command" "$("$binary" "$command" --help | grep -oE '^  -[^ ]+' | tr ', ' '\n' | grep . | sort | lines)" "$(sort <<<"$flags" | lines)"
done
unknown=$(comm -13 <(sort -u <<<"$offered"$'\n--version') <(cat <<<"$tables"))
same "no flag of the tables is forgotten" "" "$(lines <<<"$unknown")"

# --- What comes behind them --------------------------------------------------------------------------------------------
same "a command's beginning" "report resume retry release :4" "$(complete re | sort -k1,1 | awk '/^rep/{a=$1} /^res/{b=$1} /^ret/{c=$1} /^rel/{d=$1} /^:/{e=$1} END{print a, b, c, d, e}')"
same "flags before a command" "--help --version :4" "$(complete - | lines)"
same "the beginning of two flags" "--gate-namespace --gate-name :4" "$(complete check --g | lines)"
same "clusters" "sr analytics :4" "$(complete status '' | lines)"
same "clusters that begin so" "sr :4" "$(complete watch s | lines)"
: >"$KUBECTL_CALLS"
same "clusters of another namespace" "sr analytics :4" "$(complete report -n prod --context=kind '' | lines)"
same "are asked for there" "get starrocksclusters.starrocks.com --output=name --namespace=prod --context=kind" "$(cat "$KUBECTL_CALLS")"
same "namespaces" "production :4" "$(complete status --namespace p | lines)"
same "contexts" "staging :4" "$(complete status --context s | lines)"
same "values" "text json :4" "$(complete status sr -o '' | lines)"
same "values that begin so" "hold :4" "$(complete plan --upgrade-admission h | lines)"
same "a switch is followed by a cluster" "sr analytics :4" "$(complete bypass --yes '' | lines)"
same "files" ":0" "$(complete plan '' | lines)"
same "files of a flag" ":0" "$(complete plan --old '' | lines)"
same "a duration is not completed" ":4" "$(complete watch --timeout '' | lines)"
same "no cluster where none belongs" ":4" "$(complete probe '' | lines)"

echo "$passed passed, $failed failed"
((failed == 0))
