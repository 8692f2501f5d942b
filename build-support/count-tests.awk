# ctest's JUnit report (variable: stage) to lines of: stage, entry, passed, failed, skipped, reason.
# The end of an entry's output counts its cases: doctest's summary, or "N passed, N failed[, N skipped]" of a script.

function attribute(line, key,   m) {
  if (!match(line, " " key "=\"[^\"]*\"")) return ""
  m = substr(line, RSTART, RLENGTH)
  sub("^ " key "=\"", "", m)
  sub("\"$", "", m)
  return m
}
function number_before(line, word,   m) {
  if (!match(line, "[0-9]+ " word)) return 0
  m = substr(line, RSTART, RLENGTH)
  return m + 0
}
function unescaped(text) {
  gsub(/&lt;/, "<", text); gsub(/&gt;/, ">", text); gsub(/&quot;/, "\"", text); gsub(/&apos;/, "'", text)
  gsub(/&#x9;|\t/, " ", text); gsub(/&amp;/, "\\&", text)
  return text
}

/<testcase / { name = attribute($0, "name"); status = attribute($0, "status"); passed = failed = skipped = 0; reason = last = ""; may_skip = 0 }
/<skipped message="SKIP_RETURN_CODE=/ { may_skip = 1 }
{
  text = $0
  sub(/^.*<system-out>/, "", text)
  sub(/<\/system-out>.*$/, "", text)
  if (text ~ /\[doctest\] test cases:/ || text ~ /^[0-9]+ passed, [0-9]+ failed/) {
    passed = number_before(text, "passed"); failed = number_before(text, "failed"); skipped = number_before(text, "skipped")
  } else if (text ~ /[Ss][Kk][Ii][Pp]/ && text !~ /</) {
    reason = text
  }
  if (text ~ /[^ \t]/ && text !~ /^[ \t]*<\/?[a-z]/) last = text
}
/<\/testcase>/ {
  # "notrun" is also what ctest says of a program that was not built.
  if (status == "notrun" && !may_skip) { passed = skipped = 0; failed = 1; reason = last }
  else if (status == "notrun" || status == "disabled") { passed = failed = 0; skipped = 1; reason = reason ? reason : last }
  else if (status == "fail") { if (!failed) failed = 1; reason = "see its output above" }
  else if (passed + failed + skipped == 0) passed = 1
  else if (failed) reason = "counts a failure itself but exited with 0"
  else if (skipped && !reason) reason = "deselected in the test itself"
  printf "%s\t%s\t%d\t%d\t%d\t%s\n", stage, name, passed, failed, skipped, unescaped(reason)
}
