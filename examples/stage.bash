#!/usr/bin/env bash
# Shared by the scripts of examples/: a temporary folder, free ports, cleanup. Source it with the path of postrider;
# the script sets `service` and `receiver` to the processes that it starts.

script=$(basename "$0")
# shellcheck disable=SC2034 # for the scripts that source this
binary=$(realpath "${1:?usage: examples/$script PATH-OF-POSTRIDER}")
# In /tmp and readable by all, because PostgreSQL runs unprivileged.
folder=$(mktemp -d "/tmp/postrider-$script.XXXXXX")
chmod 755 "$folder"
service=
receiver=

stop() {
    [ -z "$receiver" ] || kill "$receiver" 2>/dev/null || true
    [ -z "$service" ] || kill "$service" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT

fail() {
    printf '\n%s: %s\n' "$script" "$*" >&2
    tail -n 20 "$folder"/*.log >&2 || true
    exit 1
}

# A port without a listener.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 10000))
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# Waits up to 60 s until a command succeeds.
until_true() {
    local waited=0
    until "$@" >/dev/null 2>&1; do
        kill -0 "$service" 2>/dev/null || fail "postrider has stopped; the end of its log:"
        [ $((waited += 1)) -le 600 ] || fail "gave up waiting for: $*"
        sleep 0.1
    done
}

step() { printf '\n== %s\n\n' "$*"; }

# Prints a command as a user would type it, runs it and keeps its response.
answer=
show() {
    local word line='$'
    for word in "$@"; do
        case $word in
            *[!a-zA-Z0-9_./:=-]*) line+=" '$word'" ;;
            *) line+=" $word" ;;
        esac
    done
    printf '%s\n' "$line"
    answer=$("$@") || fail "this command failed: $*"
    printf '%s\n' "$answer"
}
