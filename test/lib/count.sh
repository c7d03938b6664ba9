# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sourced: counts what passed, failed and was skipped.
passed=0 failed=0 skipped=0

section() {
    echo "--- $*"
}

# check NAME COMMAND...: one test; its output is shown if it fails.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok    $name"
    else
        failed=$((failed + 1))
        printf '%s\n' "$output" | tail -n 60
        echo "FAIL  $name"
    fi
}

# count_junit FILE: adds a report's figures and shows what was skipped, with the reasons. A report
# that is missing or holds no test is a failure.
count_junit() {
    local line
    if line=$(python3 test/lib/junit-count "$1"); then
        count_line "$line"
    else
        failed=$((failed + 1))
        echo "FAIL  no test result in $1"
    fi
}

# count_file FILE: lines of `PASSED FAILED SKIPPED`.
count_file() {
    local line lines=0
    [ -f "$1" ] && while read -r line; do
        count_line "$line"
        lines=$((lines + 1))
    done <"$1"
    [ "$lines" -gt 0 ] || {
        failed=$((failed + 1))
        echo "FAIL  no test result in $1"
    }
}

count_line() {
    # shellcheck disable=SC2086  # three numbers
    set -- $1
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
    echo "      $1 passed, $2 failed, $3 skipped"
}

print_counts() {
    echo "$passed passed, $failed failed, $skipped skipped"
}
