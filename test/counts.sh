# shellcheck shell=sh
# Suites of tests are summed in the file that NIGHTJAR_COUNTS names: lines of "passed failed skipped", which the suites
# add themselves (counts-reporter.ts does for vitest). Sourced by the scripts that run several.

counted() { awk -v columns="$1" '{ n += $2; if (columns == "all") n += $1 + $3 } END { print n + 0 }' "$NIGHTJAR_COUNTS"; }

# check NAME COMMAND...: a command that counts as one test.
check() {
  echo "== $1"
  shift
  if "$@"; then echo '1 0 0' >>"$NIGHTJAR_COUNTS"; else echo '0 1 0' >>"$NIGHTJAR_COUNTS"; fi
}

# suite NAME COMMAND...: a command that counts for itself, and is held to it: to fail without a failed test, or to end without
# any test, is one failed test.
suite() {
  echo "== $1"
  suite_failed=$(counted failed)
  suite_all=$(counted all)
  suite_name=$1
  shift
  if "$@"; then
    [ "$(counted all)" -gt "$suite_all" ] && return
    echo "$suite_name: ran no test; that counts as one failed"
  else
    [ "$(counted failed)" -gt "$suite_failed" ] && return
    echo "$suite_name: failed as a whole; that counts as one failed test"
  fi
  echo '0 1 0' >>"$NIGHTJAR_COUNTS"
}

# total: prints "N passed, N failed" (and what was skipped); fails if any failed.
total() {
  awk '{ passed += $1; failed += $2; skipped += $3 }
    END { printf "%d passed, %d failed%s\n", passed, failed, skipped ? ", " skipped " skipped" : ""; exit failed > 0 }' "$NIGHTJAR_COUNTS"
}
