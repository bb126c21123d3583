#!/bin/sh
# Prints role, location, language and salary as JSON, empty where the advert does not label them.
set -eu
export LC_ALL=C
here=$(dirname "$0")
exec awk "$(cat "$here/lib.awk")"'
BEGIN {
    read_call()
    text = plain(J["input"])
    role = J["posting.title"]
    if (role == "")
        role = labelled(text, "stelle|stellenbezeichnung|position|job title|role")
    if (role == "")
        role = heading(text)
    location = labelled(text, "standort|arbeitsort|einsatzort|dienstort|location|place of work")
    salary = labelled(text, "gehalt|vergütung|stundenlohn|salary|compensation|pay")
    print summary(role, location, language_of(spaced(text)), salary)
}

function heading(text,    lines, line, number) {
    lines = split(text, line, /\n/)
    for (number = 1; number <= lines; number++)
        if (line[number] ~ /^# /)
            return trim(substr(line[number], 3))
    return ""
}

function language_of(text,    german, english) {
    german = count(text, "und|der|die|wir|für|mit|sie|oder")
    english = count(text, "and|the|we|for|with|you|or|our")
    if (german == english)
        return ""
    return german > english ? "de" : "en"
}

function count(text, words,    number, at, rest, from, total) {
    number = split(words, word, /\|/)
    for (at = 1; at <= number; at++)
        for (rest = text; (from = index(rest, " " word[at] " ")) > 0; total++)
            rest = substr(rest, from + 1)
    return total + 0
}
'
