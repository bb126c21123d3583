#!/bin/sh
# Tells people what to check: `ticket.sh summary=9103 improvement=9107 regrade=9108` names the
# conversations that it looks at.
set -eu
export LC_ALL=C
here=$(dirname "$0")
exec awk -v looks_at="$*" "$(cat "$here/lib.awk")"'
BEGIN {
    read_call()
    read_outputs(looks_at)
    if (OUTPUT["improvement"] == "")
        note("the summary was not improved")
    else {
        read_json(OUTPUT["summary"], "first")
        read_json(OUTPUT["improvement"], "last")
        compare("role")
        compare("location")
        compare("salary")
        if (changed != "")
            note("found by search: " changed)
        if (substr(OUTPUT["regrade"], 1, 6) != "[PASS]")
            note("the improvement was not graded")
    }
    print "[TICKET] " J["posting_id"] ": please check; " notes
}

function compare(name) {
    if (J["first." name] != J["last." name])
        changed = changed (changed == "" ? "" : ", ") name
}

function note(text) {
    notes = notes (notes == "" ? "" : "; ") text
}
'
