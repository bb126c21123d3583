# Stops a server that nobody uses any more, and removes its folder.
#
# $1: the folder of the server    $2: how many seconds it stays without users
#
# Standard input is the pipe of the folder. Every user of the server holds its other end open
# for life and has written one byte, so that reading ends when the last user is gone, however it
# went, and brings nothing if nobody has come since the last look. No other process may inherit
# it: the pipe has a reader as long as the server has a guardian.

trap '' HUP INT
while read -r came; [ -n "$came" ]; do
    sleep "$2" </dev/null
done

# From here on nobody comes any more: a user that does not see this file after it opened the
# pipe leaves. Who was faster is waited for.
rm -f "$1/open"
read -r came

# A number in a file may by now be another process's, after a reboot for instance.
runs() {
    if [ -d /proc/self ]; then
        [ "$(readlink "/proc/$pid/cwd")" = "$at" ]
    else
        ps -o args= -p "$pid" | grep -qF "$at"
    fi
}

# The server, its standby, a pgbouncer: each works in a folder of its own, with its number in it.
for file in "$1"/*/*.pid; do
    [ -f "$file" ] || continue
    at=${file%/*}
    pid=$(head -n 1 "$file")
    if [ -n "$pid" ] && runs; then
        kill -QUIT "$pid"
        left=100
        while [ "$left" -gt 0 ] && runs; do
            left=$((left - 1))
            sleep 0.1 || sleep 1 # a fraction is not POSIX
        done
        runs && kill -KILL "$pid"
    fi
done
rm -rf "$1"
