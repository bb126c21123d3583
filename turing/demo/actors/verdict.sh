#!/bin/sh
# Puts grades together: `verdict.sh content=9104 language=9105` names the graders' conversations.
# Answers [PASS] if all of them did, otherwise [FAIL]; a grade that is not there is no [PASS].
set -eu
export LC_ALL=C
here=$(dirname "$0")
exec awk -v graders="$*" "$(cat "$here/lib.awk")"'
BEGIN {
    read_call()
    known = split(graders, grader)
    is_good = known > 0
    for (at = 1; at <= known; at++) {
        split(grader[at], part, /=/)
        grade = J["outputs." part[2]]
        if (substr(grade, 1, 7) != "[PASS] ")
            is_good = 0
        sub(/^\[(PASS|FAIL)\] /, "", grade)
        reasons = reasons "; " part[1] ": " (grade == "" ? "not graded" : grade)
    }
    print (is_good ? "[PASS] " : "[FAIL] ") substr(reasons, 3)
}
'
