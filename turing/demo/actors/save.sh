#!/bin/sh
# Prints the final record as JSON. What it prints is kept as an event, so nothing is written here.
set -eu
export LC_ALL=C
here=$(dirname "$0")
exec awk "$(cat "$here/lib.awk")"'
BEGIN {
    read_call()
    card = read_fields(J["input"])
    print "{\"posting_id\":" J["posting_id"] ",\"role\":" quoted(FIELD["role"]) \
        ",\"location\":" quoted(FIELD["location"]) ",\"language\":" quoted(FIELD["language"]) \
        ",\"salary\":" quoted(FIELD["salary"]) ",\"card\":" quoted(trim(card)) "}"
}
'
