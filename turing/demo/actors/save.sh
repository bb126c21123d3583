#!/bin/sh
# Prints the final text in the language of the advert.
set -eu
export LC_ALL=C
here=$(dirname "$0")
exec awk "$(cat "$here/lib.awk")"'
BEGIN {
    read_call()
    read_fields(J["input"])
    if (FIELD["language"] == "de")
        card("Stelle", "Ort", "Gehalt", "Kenntnisse", "keine Angabe")
    else
        card("Role", "Location", "Salary", "Skills", "not stated")
}

function card(role, location, salary, skills, none) {
    print "[" J["posting_id"] "] " role ": " FIELD["role"]
    print location ": " FIELD["location"]
    print salary ": " (FIELD["salary"] == "" ? none : FIELD["salary"])
    print skills ": " (FIELD["skills"] == "" ? none : FIELD["skills"])
}
'
