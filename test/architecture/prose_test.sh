#!/bin/bash
# Lines of prose in Markdown files are at most 120 characters long, and README.md has at most 180 lines: what people read
# in a terminal or in a review stays readable. Tables, code and bare links are free. And one word for one thing: a
# setting is restored and a restore is pending, everywhere, comments and tests included.
#   prose_test.sh ROOT
set -euo pipefail
root=$(realpath "${1:?usage: prose_test.sh ROOT}")
export LC_ALL=C.UTF-8
failed=0

# Lines too long of the Markdown on standard input, as "NUMBER: LINE".
long_lines() {
  local line number=0
  while IFS= read -r line || [[ -n $line ]]; do
    number=$((number + 1))
    if [[ $line =~ ^\ *\`\`\` ]]; then [[ ${in_code:-} ]] && in_code= || in_code=1; continue; fi
    [[ ${in_code:-} || $line == \|* || $line == '    '* || $line =~ ^\ *\<?https?://[^\ ]*$ ]] && continue
    if ((${#line} > 120)); then printf '%s: %s\n' "$number" "$line"; fi
  done
  in_code=
}

# The check notices, and lets be what it should.
long=$(printf 'x %.0s' {1..61})
[[ -n $(long_lines <<<"$long") ]] || { echo "a long line is not noticed"; exit 1; }
[[ -z $(printf '```\n%s\n```\n| %s |\n' "$long" "$long" | long_lines) ]] || { echo "code or tables are noticed"; exit 1; }

while IFS= read -r file; do
  found=$(long_lines <"$file")
  if [[ -n $found ]]; then
    failed=1
    printf '%s: more than 120 characters in line %s\n' "${file#"$root"/}" "$found" | cut -c1-160
  fi
done < <(find "$root" -name '*.md' -not -path '*/build/*' -not -path '*/.git/*' -not -path '*/node_modules/*')
# Words that once stood for it, and references to a text that is not in this tree.
other_words='owe|owes|owed|owing|debts?|mend|mends|mended|mending|put back|puts back|putting back|emergency exit|design [0-9]+\.[0-9]+'
other_words() { grep -nwiE "$other_words" "$@"; }
[[ -n $(other_words <<<'what is owed is put back') ]] || { echo "another word for a restore is not noticed"; exit 1; }
[[ -z $(other_words <<<'restoreOwed: a restore is pending; amended, recommended') ]] || { echo "a wire name is noticed"; exit 1; }
found=$(other_words -r --include='*.[ch]pp' --include='*.md' --include='*.yaml' --include='*.sh' --include='*.go' \
  --exclude=prose_test.sh --exclude-dir=build --exclude-dir=.git --exclude-dir=node_modules "$root" || true)
if [[ -n $found ]]; then
  failed=1
  printf '%s: say restore, pending, fix, bypass; name an ADR\n' "${found//"$root"\//}" | cut -c1-200
fi
# Commands of a runbook are run as they stand, in whatever namespace the context has: each says which one it means. And
# of a Deployment `kubectl logs` shows one pod alone.
homeless_commands() {
  tr '\n' ' ' | grep -oE '`kubectl [^`]*`' |
    grep -vE ' (-n |--namespace[= ]|-A( |`))|`kubectl ((apply|replace)( |`)|patch crd |upgrade-gate check)' || true
}
[[ -n $(homeless_commands <<<'Try `kubectl get pods`.') ]] || { echo "a command without a namespace is not noticed"; exit 1; }
[[ -z $(homeless_commands <<<'`kubectl get srup -A`, `kubectl -n a get pods`, `kubectl apply -k .`') ]] ||
  { echo "a command with a namespace is noticed"; exit 1; }
for file in "$root"/docs/runbooks/*.md; do
  found=$(homeless_commands <"$file")
  if [[ -n $found ]]; then failed=1; printf '%s: which namespace? %s\n' "${file#"$root"/}" "$found"; fi
done
# Nor does helm find a release in another namespace, and without a registry the image is one that nobody has published.
homeless_releases() { # of Markdown on standard input, with continued lines joined
  sed -e ':a' -e '/\\$/{N;s/\\\n//;ba' -e '}' | grep -oE 'helm (install|upgrade) upgrade-gate [^`]*' |
    grep -vE '^helm install .*(-n |--namespace ).*image\.registry|^helm upgrade .*(-n |--namespace )' || true
}
[[ -n $(homeless_releases <<<'helm install upgrade-gate chart -n a') ]] || { echo "an install without image is not noticed"; exit 1; }
[[ -z $(printf 'helm upgrade upgrade-gate chart \\\n  -n a\n' | homeless_releases) ]] || { echo "a whole command is noticed"; exit 1; }
while IFS= read -r file; do
  found=$(homeless_releases <"$file")
  if [[ -n $found ]]; then failed=1; printf '%s: which namespace, which image? %s\n' "${file#"$root"/}" "$found"; fi
done < <(grep -rlE 'helm (install|upgrade) upgrade-gate' --include='*.md' --exclude-dir=build --exclude-dir=.git "$root")
found=$(grep -rnE 'kubectl[^`]* logs deploy' --include='*.md' --include='NOTES.txt' --exclude-dir=build "$root" || true)
if [[ -n $found ]]; then failed=1; printf '%s: shows one pod: say logs -l app.kubernetes.io/name=upgrade-gate\n' "$found"; fi
lines=$(wc -l <"$root/README.md")
if ((lines > 180)); then echo "README.md has $lines lines: want at most 180"; failed=1; fi
exit "$failed"
