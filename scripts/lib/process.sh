# shellcheck shell=bash
# shellcheck disable=SC2154  # Variables of common.sh.
# Private servers as background processes: ports, process ids that cannot be mistaken, orderly ends.
# Sourced after common.sh.

# What tells a process from a later one that got the same number: when it was started.
process_birth() {
    if [ -r "/proc/$1/stat" ]; then
        # The second field is the program's name in parentheses and may hold anything; field 22 is the start.
        sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
    else
        ps -o lstart= -p "$1" 2>/dev/null
    fi
}

# `remember_process NAME PID`
remember_process() { printf '%s\n%s\n' "$2" "$(process_birth "$2")" >"$services_dir/$1.pid"; }

# Prints the process id of the NAME that we started, if that very process is still alive.
our_process() {
    local pid birth
    [ -f "$services_dir/$1.pid" ] || return 1
    { read -r pid && IFS= read -r birth; } <"$services_dir/$1.pid" || return 1
    [ -n "$birth" ] && [ "$(process_birth "$pid")" = "$birth" ] || return 1
    echo "$pid"
}

# `end_process NAME SECONDS`: asks first, then insists. Only ever the process we started.
end_process() {
    local pid
    if pid=$(our_process "$1"); then
        kill -TERM "$pid" 2>/dev/null || true
        if ! wait_until "$2" process_gone "$1"; then
            kill -KILL "$pid" 2>/dev/null || true
            wait_until 5 process_gone "$1" || true
        fi
    fi
    rm -f "$services_dir/$1.pid"
}

process_gone() { ! our_process "$1" >/dev/null; }

# `start_process NAME LOG COMMAND...`: in the background, holding on to nothing of ours. A caller that pipes
# our output would otherwise wait for a server that never ends; 9 is our lock, 3 and 4 make's job tokens.
start_process() {
    local name=$1 log=$2
    shift 2
    if have setsid; then
        setsid "$@" >>"$log" 2>&1 </dev/null 3>&- 4>&- 9>&- &
    else
        nohup "$@" >>"$log" 2>&1 </dev/null 3>&- 4>&- 9>&- &
    fi
    remember_process "$name" $!
}

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# `free_port FIRST`: the first port from FIRST on that nobody listens on.
free_port() {
    local port
    for port in $(seq "$1" 10 $(($1 + 500))); do
        if ! port_taken "$port"; then
            echo "$port"
            return 0
        fi
    done
    die "no free port found from $1 to $(($1 + 500)) on 127.0.0.1"
}

# `show_log FILE`: the end of a server's log, when it did not come up.
show_log() {
    if [ -f "$1" ]; then
        say "--- the end of $1:"
        tail -n 20 "$1" >&2
    fi
}
