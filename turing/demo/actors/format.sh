#!/bin/sh
# Prints the card of a job in the language of its advert.
set -eu
export LC_ALL=C
here=$(dirname "$0")
exec awk "$(cat "$here/lib.awk")"'
BEGIN {
    read_call()
    read_fields(J["input"])
    if (FIELD["language"] == "de")
        card("Stelle", "Ort", "Gehalt", "keine Angabe")
    else
        card("Role", "Location", "Salary", "not stated")
}

function card(role, location, salary, none) {
    print role ": " FIELD["role"]
    print location ": " FIELD["location"]
    print salary ": " (FIELD["salary"] == "" ? none : FIELD["salary"])
}
'
