# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced. Remembers processes in files as "PID STARTTIME", so that a pid which the kernel has given
# to somebody else in the meantime is never taken for ours.

# process_birth PID: the start time in clock ticks since boot; fails when gone or a zombie.
process_birth() {
    local stat fields
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # The name, in parentheses, may hold spaces; what follows it does not.
    read -ra fields <<<"${stat##*) }"
    [ "${fields[0]}" != Z ] && echo "${fields[19]}"
}

# process_record FILE PID
process_record() {
    local birth
    birth=$(process_birth "$2") || return 1
    echo "$2 $birth" >"$1"
}

# process_pid FILE: prints the pid while that very process lives, else fails.
process_pid() {
    local pid birth
    read -r pid birth 2>/dev/null <"$1" || return 1
    [ "$(process_birth "$pid")" = "$birth" ] && echo "$pid"
}

# process_gone FILE SECONDS: waits for the end; fails when the process still lives after that time.
process_gone() {
    local deadline=$((SECONDS + $2))
    while process_pid "$1" >/dev/null; do
        [ $SECONDS -le $deadline ] || return 1
        sleep 0.02
    done
}

# process_stop FILE SIGNAL SECONDS: asks with SIGNAL, kills after SECONDS, removes FILE.
process_stop() {
    local pid
    if pid=$(process_pid "$1"); then
        kill -s "$2" "$pid" 2>/dev/null || true
        if ! process_gone "$1" "$3"; then
            kill -s KILL "$pid" 2>/dev/null || true
            process_gone "$1" 10 || {
                echo "process $pid does not die" >&2
                return 1
            }
        fi
    fi
    rm -f "$1"
}
