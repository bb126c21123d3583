#!/bin/sh
# Grades a summary: `grade.sh content` what it has, `grade.sh language` how it reads, `grade.sh both`.
# Answers [PASS], or [FAIL] with the reasons.
set -eu
export LC_ALL=C
here=$(dirname "$0")
exec awk -v what="$1" "$(cat "$here/lib.awk")"'
BEGIN {
    read_call()
    read_fields(J["input"])
    is_good = 1
    if (what == "content" || what == "both")
        said(content_grade())
    if (what == "language" || what == "both")
        said(language_grade())
    if (grade == "")
        fail("grade.sh knows content, language and both, not " what)
    print (is_good ? "[PASS] " : "[FAIL] ") grade
}

function said(text) {
    grade = grade (grade == "" ? "" : "; ") text
}

function content_grade() {
    weigh("role", 40)
    weigh("location", 30)
    weigh("language", 10)
    weigh("salary", 20)
    if (points < 80)
        is_good = 0
    return points + 0 " of 100 points" (missing == "" ? "" : ", missing: " missing)
}

function weigh(name, weight) {
    if (FIELD[name] != "")
        points += weight
    else
        missing = missing (missing == "" ? "" : ", ") name
}

function language_grade(    faults) {
    if (FIELD["language"] != "de" && FIELD["language"] != "en")
        faults = faults ", neither German nor English"
    if (shouts(FIELD["role"]))
        faults = faults ", the role shouts"
    if (characters(FIELD["role"]) > 80)
        faults = faults ", the role is longer than 80 characters"
    if ((FIELD["role"] FIELD["location"] FIELD["salary"]) ~ /<\/?[a-z]+|&[a-zA-Z]+;|\*\*/)
        faults = faults ", markup is left"
    if (faults == "")
        return (FIELD["language"] == "de" ? "German" : "English") ", reads well"
    is_good = 0
    return substr(faults, 3)
}
'
