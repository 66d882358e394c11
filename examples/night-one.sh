#!/usr/bin/env bash
# Night one: a device in the field is full.
#
# A player meets a broken file and logs one exception again and again, until its small disk has
# no block left. The cleanup of old goes wrong on one copy of that disk; logquota repairs
# another, and keeps a third from filling up at all.
#
# Needs root and e2fsprogs. Everything happens on disk images in a folder of its own, mounted
# where only this script sees them. LOGQUOTA is the program, `logquota` by default.
# Ends with 0 if all was as it is told here.
set -euo pipefail

if [[ "${1-}" != inside ]]; then
    ((EUID == 0)) || { echo "night-one: needs root, for the mounts" >&2; exit 1; }
    LOGQUOTA=$(command -v "${LOGQUOTA:-logquota}") ||
        { echo "night-one: no logquota; set LOGQUOTA to its path" >&2; exit 1; }
    LOGQUOTA=$(realpath -- "$LOGQUOTA")
    work=$(mktemp -d /tmp/night.XXXX)
    # Mounts and processes end with their namespaces, so that only files and folders are here.
    trap 'rm -rf --one-file-system -- "$work"' EXIT
    export LOGQUOTA
    unshare --mount --propagation private --uts --pid --fork --kill-child --mount-proc \
        "$BASH" "$0" inside "$work"
    exit
fi

# The first process of a namespace of its own, or nothing is done.
work=${2-}
[[ $$ -eq 1 && $work == /tmp/night.* ]] || { echo "night-one: call it without arguments" >&2; exit 1; }
trap 'exit 130' INT TERM
export PATH="$PATH:/usr/sbin:/sbin"
hostname player-0417
player=
trap '[[ -z $player ]] || kill "$player" 2>/dev/null || :' EXIT
logquota() { "$LOGQUOTA" "$@"; }

tell() { echo; printf '%s\n' "$@"; }
title() { printf '\n\n---- %s %s\n' "$1" "$(printf -- '-%.0s' $(seq $((74 - ${#1}))))"; }
show() { printf '\n$ %s\n' "$1"; }
fail() { printf '\nNOT AS TOLD: %s\n' "$1" >&2; exit 1; }
must() { local what=$1; shift; "$@" || fail "$what"; }

disk=$work/d
log=$disk/log

# Puts an image where the device has its disk.
insert() {
    mkdir -p "$disk"
    mount -o loop "$work/$1" "$disk"
    must "the disk is not mounted" mountpoint -q "$disk"
}
eject() { umount "$disk"; }

free_kib() { df --output=avail -k "$disk" | tail -n 1 | tr -d ' '; }
disk_line() {
    df --output=size,used,avail,pcent -BM "$disk" | sed 's/^/    /'
}
is_full() { (($(free_kib) == 0)); }
has_room() { (($(free_kib) >= $1)); }

exception() {
    printf '%s ERROR cannot decode /media/spot-0815.mp4: unexpected end of file\n' "$1"
}

# As many of them as $1 says, such as 4M. Fails if they have no room.
exceptions() {
    local text
    text=$(exception 2026-11-25T21:14:03Z)
    # Whoever is cut off has not failed.
    (set +o pipefail; yes "$text" | head -c "$1" >>"$log/player.log")
}

# Opens its log once, or again when it is told to (SIGHUP), and writes a line now and then for as
# long as it lives, like any player.
start_player() {
    (
        trap - EXIT
        exec 3>>"$log/player.log" 2>/dev/null
        trap 'exec 3>>"$log/player.log"' HUP
        number=0
        while sleep 0.02 3>&-; do
            if exception "live-$number" >&3; then number=$((number + 1)); fi
        done
    ) &
    player=$!
}
stop_player() { kill "$player"; wait "$player" 2>/dev/null || :; player=; }
# What the file has that the player holds open, whatever became of its name.
player_lines() { grep -a -c '^live-' "/proc/$player/fd/3" || :; }
player_writes() {
    local before now
    before=$(player_lines)
    for _ in {1..100}; do
        now=$(player_lines)
        ((now <= before)) || return 0
        sleep 0.05
    done
    return 1
}

cat >"$work/logquota.conf" <<END
$log/*.log {
    size 1M
    rotate 8
    quota 8M
    livetrim
}
END
# The same without \`livetrim\`: nothing but archives may go.
grep -v livetrim "$work/logquota.conf" >"$work/free.conf"
chmod 644 "$work"/*.conf

title "The device"
truncate -s 32M "$work/new"
mkfs.ext4 -q -F -m 0 -b 4096 "$work/new"
insert new
mkdir -m 755 "$log"
for number in 1 2 3 4 5 6 7 8; do
    head -c 768K /dev/urandom | base64 -w 99 >"$log/player.log.$number"
    touch -d "$number days ago" "$log/player.log.$number"
done
head -c 2M /dev/urandom >"$log/catalog.db"
# What it has of its own system, for who looks at its disk elsewhere.
mkdir -m 755 "$disk/etc"
echo player-0417 >"$disk/etc/hostname"
echo 0417041704170417041704170417aaaa >"$disk/etc/machine-id"
sed "s|^$log|/log|" "$work/logquota.conf" >"$disk/etc/logquota.conf"
exception first >"$log/player.log"
eject
cp "$work/new" "$work/full"
insert full
tell "player-0417 has a small disk, with the logs of its player and the player's" \
    "catalog. Then it is sent a broken file."
# What was kept back for writing them is free again when they are written.
for _ in {1..5}; do
    exceptions 1G 2>/dev/null || :
    for _ in {1..100}; do exception last >>"$log/player.log" 2>/dev/null || break; done
    sync -f "$disk"
done
show "df ."
disk_line
must "the disk should be full" is_full
eject
cp "$work/full" "$work/copy"
cp "$work/full" "$work/far"

title "The old way, on a copy of that disk"
insert copy
start_player
before=$(free_kib)
tell "The cleanup script makes a list of old logs first, so as not to delete" \
    "what is new. The list is on the disk that is full, and comes out empty:"
show "find log -name 'player.log.*' -mtime +2 > old-logs.txt; wc -c old-logs.txt"
(cd -- "$disk" && find log -name 'player.log.*' -mtime +2 >old-logs.txt 2>/dev/null) || :
printf '    %s bytes\n' "$(stat -c %s "$disk/old-logs.txt")"
must "there should be no room for the list" test ! -s "$disk/old-logs.txt"

tell "Nothing is freed, so it goes for the largest file:"
show "rm log/player.log"
(cd -- "$log" && rm -f -- ./player.log)
disk_line
must "the space should not come back" is_full
tell "Still full: the player has it open, and nobody knows. Next, all of it:"
show "rm log/*log*"
# By relative names, in a folder of our own image, and no folders.
must "this is not our disk" mountpoint -q "$disk"
(cd -- "$log" && rm -f -- ./*log*)
disk_line
must "the catalog should be gone" test ! -e "$log/catalog.db"
must "the player's log should have no name" test ! -e "$log/player.log"
tell "There is room. But cataLOG.db matched, too. The player cannot start" \
    "without it: somebody has to drive there. What was in the log, and would" \
    "have told why, is gone with all its archives."
stop_player
eject

title "logquota, on the same disk: by remote script, in one call"
insert full
start_player
catalog=$(cksum <"$log/catalog.db")
before=$(free_kib)
tell "It needs no list, no temporary file, no free block. Nothing that is not" \
    "a log can be meant, and the wrong device would refuse:"
show "logquota free 4M --host player-0418 --yes"
code=0
said=$(logquota free 4M --config "$work/free.conf" --host player-0418 --yes 2>&1) || code=$?
fold -s -w 76 <<<"$said" | sed -e 's/ *$//' -e 's/^/    /'
must "another device should refuse with 5, not $code" test "$code" = 5
must "another device should do nothing" test "$(free_kib)" = "$before"
show "logquota free 4M --host player-0417 --yes"
logquota free 4M --config "$work/free.conf" --host player-0417 --yes
must "4 MiB should be free" has_room 4000
must "the newest archives should stay" test -e "$log/player.log.4"
must "the log should stay" test -e "$log/player.log"
must "the player should write again" player_writes

tell "The player was not restarted; it writes again. Its log is still far too" \
    "long. The timer's next run brings it within its quota, in place:"
show "logquota run"
logquota run --config "$work/logquota.conf" --state "$work/state"
disk_line
# What the player has written since is on top.
must "the log should be within its quota" \
    test "$(du -k "$log"/player.log* | awk '{ sum += $1 } END { print sum }')" -le 8448
must "most of the disk should be free" has_room 14000
must "the player should go on" player_writes
must "the catalog should be as it was" test "$(cksum <"$log/catalog.db")" = "$catalog"
must "each line should be whole" \
    test "$(tr -d '\0' <"$log/player.log" | sed 1d | grep -a -v -c ' ERROR cannot decode ')" = 0
tell "The catalog is what it was, and the newest of the log is there."
stop_player
eject

title "The one that nobody reaches: a technician with a USB stick"
insert far
hostname usb-stick
catalog=$(cksum <"$log/catalog.db")
tell "Its disk is mounted in the stick's system. Configuration, paths and name are" \
    "those of the device; nothing leads out of its disk, and nothing on it is run:"
show "logquota free 4M --root /mnt/disk"
logquota free 4M --root "$disk" >"$work/shown"
sed -e "s|$disk|/mnt/disk|" "$work/shown"
must "the device should be named" grep -q 'host  *player-0417' "$work/shown"
must "nothing should be done yet" is_full
tell "The command at its end does it:"
id=$(sed -n 's/.*--apply \([^ ]*\).*/\1/p' "$work/shown")
show "logquota free 4M --root /mnt/disk --host player-0417 --apply $id"
logquota free 4M --root "$disk" --host player-0417 --apply "$id"
must "4 MiB should be free" has_room 4000
must "the catalog should be as it was" test "$(cksum <"$log/catalog.db")" = "$catalog"
must "the newest archives should stay" test -e "$log/player.log.4"
tell "It can start again, and log that it did."
hostname player-0417
eject

title "And if logquota had been there before"
insert new
start_player
# Until it is told, it would go on in the file that has become an archive.
sed "s/^}/    postrotate\n        kill -HUP $player\n    endscript\n}/" "$work/logquota.conf" \
    >"$work/before.conf"
tell "The same broken file, 40 MiB of exceptions on this small disk, and a run" \
    "now and then:"
show "logquota run -q    # by a timer, ten times"
for round in 1 2 3 4 5 6 7 8 9 10; do
    exceptions 4M || fail "the disk was full in round $round"
    logquota run -q --config "$work/before.conf" --state "$work/state-2"
    must "the disk should never be full" has_room 8000
done
disk_line
must "the player should have gone on" player_writes
must "the catalog should be as it was" test "$(cksum <"$log/catalog.db")" = "$catalog"
tell "It was never full, and nobody had to get up."
stop_player
eject
