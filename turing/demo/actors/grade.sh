#!/bin/sh
# Scores how complete a summary is: [PASS] from 80 of 100 points, otherwise [FAIL] with what is missing.
set -eu
export LC_ALL=C
here=$(dirname "$0")
exec awk "$(cat "$here/lib.awk")"'
BEGIN {
    read_call()
    read_fields(J["input"])
    weigh("role", 40)
    weigh("location", 30)
    weigh("language", 10)
    weigh("salary", 20)
    print (points >= 80 ? "[PASS] " : "[FAIL] ") points + 0 " of 100 points" \
        (missing == "" ? "" : ", missing: " missing)
}

function weigh(name, weight) {
    if (FIELD[name] != "")
        points += weight
    else
        missing = missing (missing == "" ? "" : ", ") name
}
'
