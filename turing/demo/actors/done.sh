#!/bin/sh
# Says in one line what came of a posting: `done.sh record=9111 skills=9112 ticket=9109` names the
# conversations that it looks at.
set -eu
export LC_ALL=C
here=$(dirname "$0")
exec awk -v looks_at="$*" "$(cat "$here/lib.awk")"'
BEGIN {
    read_call()
    read_outputs(looks_at)
    read_json(OUTPUT["record"], "record")
    line = J["record.role"] ", " J["record.location"]
    if (OUTPUT["skills"] != "") {
        read_json(OUTPUT["skills"], "skills")
        skills = J["skills.skills"] == "" ? "none named" : J["skills.skills"]
    } else
        skills = "not looked for"
    print "[DONE] " line "; skills: " skills "; ticket: " (OUTPUT["ticket"] == "" ? "no" : "yes")
}
'
