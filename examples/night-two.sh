#!/usr/bin/env bash
# Night two: an operator, a full server, and one wrong character.
#
# A shop's server is full. The one-liner of old deletes, for one blank too many, everything in
# the folder of a copy, a customer's file included. With logquota it is shown first, on which
# host and what; the wrong host refuses; and what goes is what was shown.
#
# Needs root. Everything happens on two small tmpfs in a folder of its own, mounted where only
# this script sees them. LOGQUOTA is the program, `logquota` by default.
# Ends with 0 if all was as it is told here.
set -euo pipefail

if [[ "${1-}" != inside ]]; then
    ((EUID == 0)) || { echo "night-two: needs root, for the mounts" >&2; exit 1; }
    LOGQUOTA=$(command -v "${LOGQUOTA:-logquota}") ||
        { echo "night-two: no logquota; set LOGQUOTA to its path" >&2; exit 1; }
    LOGQUOTA=$(realpath -- "$LOGQUOTA")
    work=$(mktemp -d /tmp/night.XXXX)
    # Mounts and processes end with their namespaces, so that only folders are here.
    trap 'rm -rf --one-file-system -- "$work"' EXIT
    export LOGQUOTA
    unshare --mount --propagation private --uts --pid --fork --kill-child --mount-proc \
        "$BASH" "$0" inside "$work"
    exit
fi

# The first process of a namespace of its own, or nothing is done.
work=${2-}
[[ $$ -eq 1 && $work == /tmp/night.* ]] || { echo "night-two: call it without arguments" >&2; exit 1; }
trap 'exit 130' INT TERM
hostname web-07
# So that the commands that are shown are as short as on a server.
mkdir "$work/bin"
ln -s "$LOGQUOTA" "$work/bin/logquota"
export PATH="$work/bin:$PATH:/usr/sbin:/sbin"

tell() { echo; printf '%s\n' "$@"; }
title() { printf '\n\n---- %s %s\n' "$1" "$(printf -- '-%.0s' $(seq $((74 - ${#1}))))"; }
show() { printf '\n$ %s\n' "$1"; }
fail() { printf '\nNOT AS TOLD: %s\n' "$1" >&2; exit 1; }
must() { local what=$1; shift; "$@" || fail "$what"; }
indented() { fold -s -w 76 | sed -e 's/ *$//' -e 's/^/    /'; }
refusal() { sed -n '/logquota: error/,$p' <<<"$1" | indented; }
listing() { (cd -- "$1" && ls -1 | sort -V); }

# A server's disk with its logs, at $1.
disk() {
    mkdir "$1"
    mount -t tmpfs -o size=32m,mode=0755 none "$1"
    must "the disk is not mounted" mountpoint -q "$1"
    local log=$1/log number
    mkdir -m 755 "$log"
    head -c 2M /dev/urandom >"$log/orders.log"
    for number in 1 2 3 4 5 6 7 8; do
        head -c 2M /dev/urandom >"$log/orders.log.$number"
        touch -d "$number days ago" "$log/orders.log.$number"
    done
    head -c 3M /dev/urandom >"$log/orders-of-acme.csv"
    # Whatever is left is somebody else's.
    cat /dev/zero >"$1/database" 2>/dev/null || :
}

title "The server"
disk "$work/web"
disk "$work/copy"
log=$work/web/log
tell "web-07 is full, at three in the morning:"
show "df ."
df --output=size,used,avail,pcent -BM "$work/web" | sed 's/^/    /'
show "ls log"
listing "$log" | paste -sd ' ' | indented

title "The old way, on a copy"
tell "The old orders shall go: rm log/orders.log.*  What is typed has one blank" \
    "too many:"
show "cd log; rm orders.log. *"
# In the folder of our own tmpfs, by relative names, and no folders.
must "this is not our copy" mountpoint -q "$work/copy"
(cd -- "$work/copy/log" && rm -f -- orders.log. *)
show "ls"
listing "$work/copy/log" | sed 's/^/    /'
must "everything should be gone" test -z "$(listing "$work/copy/log")"
tell "    (nothing)" \
    "" \
    "The log in use, today's history, and orders-of-acme.csv, which a customer" \
    "waits for. There is no second copy."

title "With logquota: look first"
before=$(listing "$log")
show "logquota free 25% log"
shown=$(cd -- "$work/web" && logquota free 25% "$log") || fail "free should end with 0"
printf '%s\n' "$shown"
must "looking should change nothing" test "$before" = "$(listing "$log")"
must "the customer's file should be shown as not ours" \
    grep -q 'orders-of-acme.csv' <<<"$shown"
must "no line should be wider than 80 columns" test -z "$(grep -E '.{81}' <<<"$shown")"
# The last paragraph is the command.
call=${shown##*$'\n\n'}
tell "The customer's file is in the list of what does not go. The last lines are" \
    "the command; there is nothing to compose, and so nothing to mistype."

title "In the wrong window"
tell "Pasted into the window of db-02, by mistake:"
code=0
said=$(unshare --uts "$BASH" -c 'hostname db-02; eval "$1"' bash "$call" 2>&1) || code=$?
indented <<<"$said"
must "the wrong host should refuse with 5, not $code" test "$code" = 5
must "the wrong host should do nothing" test "$before" = "$(listing "$log")"

title "Something changed in between"
tell "Here somebody has changed an old archive meanwhile. What was shown is no" \
    "longer true, so nothing is done:"
echo "a last line" >>"$log/orders.log.8" 2>/dev/null || touch "$log/orders.log.8"
code=0
said=$(eval "$call" 2>&1) || code=$?
refusal "$said"
must "what changed should be refused with 5, not $code" test "$code" = 5
must "what changed should stay" test "$before" = "$(listing "$log")"

title "Right"
tell "Shown anew, and pasted into the right window:"
shown=$(logquota free 25% "$log") || fail "free should end with 0"
call=${shown##*$'\n\n'}
count=$(sed -n 's/.*orders\.log: \([0-9]*\) of 8 archives.*/\1/p' <<<"$shown")
must "the screen should say how many go" test -n "$count"
show "$call"
eval "$call" || fail "the command should end with 0"
expected=$(grep -v -E "orders\.log\.($(seq -s '|' $((9 - count)) 8))\$" <<<"$before")
must "what goes should be what was shown" test "$expected" = "$(listing "$log")"
show "ls log"
listing "$log" | paste -sd ' ' | indented
must "a quarter should be free" \
    test "$(df --output=avail -k "$work/web" | tail -n 1)" -ge 8192
tell "The $count oldest archives went, as shown. Pasted once more it does nothing:"
code=0
said=$(eval "$call" 2>&1) || code=$?
refusal "$said"
must "the second time should be refused with 5, not $code" test "$code" = 5
must "the second time should do nothing" test "$expected" = "$(listing "$log")"
