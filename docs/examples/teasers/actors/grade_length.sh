#!/bin/sh
# Answers [PASS] for a teaser of at most so many words as the first argument says.
set -eu
exec awk -v limit="$1" "$(cat actors/json.awk)"'
BEGIN {
    read_document()
    count = split(J["input"], word)
    print (count <= limit ? "[PASS]" : "[FAIL]"), count " words, " limit " are allowed"
}
'
