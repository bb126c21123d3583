#!/bin/sh
# Fills the gaps of a summary by searching the whole advert: the role in one call, then place and pay.
# A role that shouts is put in quiet words.
set -eu
export LC_ALL=C
here=$(dirname "$0")
exec awk "$(cat "$here/lib.awk")"'
BEGIN {
    read_call()
    text = plain(read_fields(J["input"]))
    if (FIELD["role"] == "")
        FIELD["role"] = role_in(text)
    else {
        if (shouts(FIELD["role"]))
            FIELD["role"] = quiet(FIELD["role"])
        if (FIELD["location"] == "")
            FIELD["location"] = place_in(text)
        if (FIELD["salary"] == "")
            FIELD["salary"] = pay_in(text)
    }
    print summary(FIELD["role"], FIELD["location"], FIELD["language"], FIELD["salary"])
}

# The words before a "(m/w/d)", or else the first line.
function role_in(text,    lines, line, number, sentence) {
    lines = split(text, line, /\n/)
    for (number = 1; number <= lines; number++) {
        sentence = line[number]
        if (match(sentence, /[ ]*\([mwfdxi]\/[mwfdxi]\/[mwfdxi]\)/)) {
            sentence = substr(sentence, 1, RSTART - 1)
            sub(/^.*(suchen|sucht|looking for)( ab sofort| zum nächsten Termin)?( eine| einen| an| a)? /, "", sentence)
            return trim(sentence)
        }
    }
    return trim(line[1])
}

# A role without calls, exclamation marks and words in capital letters; abbreviations stay.
function quiet(role,    words, word, at, small, found) {
    gsub(/[!:]+/, " ", role)
    words = split(role, word)
    for (at = 1; at <= words; at++) {
        small = lower(word[at])
        if (index(" dringend gesucht sofort urgent urgently wanted needed now ", " " small " "))
            continue
        if (small ~ /^\(/ || index(" für in im mit und oder and for in of or the with ", " " small " "))
            word[at] = small
        else if (characters(small) > 3 && word[at] !~ /[a-z]/)
            word[at] = capitalised(small)
        found = found " " word[at]
    }
    return trim(found)
}

function capitalised(word) {
    if (index(word, "ä") == 1) return "Ä" substr(word, length("ä") + 1)
    if (index(word, "ö") == 1) return "Ö" substr(word, length("ö") + 1)
    if (index(word, "ü") == 1) return "Ü" substr(word, length("ü") + 1)
    return toupper(substr(word, 1, 1)) substr(word, 2)
}

# The town behind a German postal code, or else a town that is well known.
function place_in(text,    rest, town, towns, name, at) {
    rest = text
    while (match(rest, /[0-9][0-9][0-9][0-9][0-9] [A-Z]/)) {
        town = substr(rest, RSTART + 6)
        rest = town
        match(town, /^[^ ,.;:()\n]+/)
        town = substr(town, 1, RLENGTH)
        if (town != "Euro" && town != "EUR")
            return town
    }
    towns = split("Berlin|Bristol|Dublin|Edinburgh|Hamburg|Köln|Leeds|Leipzig|London|Manchester|" \
        "München|Wien|Zürich", name, /\|/)
    for (at = 1; at <= towns; at++)
        if (index(text, name[at]))
            return name[at]
    return ""
}

# An amount of money, or else a collective agreement.
function pay_in(text) {
    if (match(text, /(£|€) ?[0-9][0-9.,]*( ?(-|–|to) ?(£|€)?[0-9][0-9.,]*)?( (per|an) [a-z]+)?/))
        return amount(substr(text, RSTART, RLENGTH))
    if (match(text, /[0-9][0-9.,]*( ?(-|–|bis) ?[0-9][0-9.,]*)? ?(€|EUR|Euro)( (pro|im|je) [A-Za-z]+)?/))
        return amount(substr(text, RSTART, RLENGTH))
    if (match(text, /(TVöD|TV-L)[^,.;()\n]*/))
        return amount(substr(text, RSTART, RLENGTH))
    return ""
}

function amount(text) {
    sub(/[.,]+$/, "", text)
    return trim(text)
}
'
