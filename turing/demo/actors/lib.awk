# What the actors share: reading and writing JSON, and looking at adverts.
# POSIX awk for the C locale: text is bytes, so umlauts may stand in words but not in brackets.

# Reads standard input and keeps its JSON in J: J["input"], J["posting.status"], J["outputs.9101"].
function read_call(    line, rest) {
    while ((getline line) > 0)
        rest = rest line "\n"
    JSON = rest
    if (json_peek() != "{")
        fail("standard input is not a JSON object: " substr(JSON, 1, 40))
    json_value("")
}

# Keeps another JSON text, such as an output, in J below `path`.
function read_json(text, path) {
    JSON = text
    json_value(path)
}

# Keeps outputs in OUTPUT under names of one's own, given as "summary=9103 skills=9112".
function read_outputs(names,    name, count, at, part) {
    count = split(names, name)
    for (at = 1; at <= count; at++) {
        split(name[at], part, /=/)
        OUTPUT[part[1]] = J["outputs." part[2]]
    }
}

function json_value(path,    first, number) {
    first = json_peek()
    if (first == "{")
        json_object(path)
    else if (first == "[")
        json_array(path)
    else if (first == "\"")
        J[path] = json_text()
    else if (match(JSON, /^(true|false|null|-?[0-9][-+.0-9eE]*)/)) {
        number = substr(JSON, 1, RLENGTH)
        JSON = substr(JSON, RLENGTH + 1)
        J[path] = (number == "null") ? "" : number
    } else
        fail("standard input is not JSON near: " substr(JSON, 1, 40))
}

function json_object(path,    name) {
    json_take("{")
    if (json_peek() == "}") {
        json_take("}")
        return
    }
    while (1) {
        json_peek()
        name = json_text()
        json_take(":")
        json_value(path == "" ? name : path "." name)
        if (json_peek() != ",")
            break
        json_take(",")
    }
    json_take("}")
}

function json_array(path,    number) {
    json_take("[")
    if (json_peek() == "]") {
        json_take("]")
        return
    }
    for (number = 0; 1; number++) {
        json_value(path "." number)
        if (json_peek() != ",")
            break
        json_take(",")
    }
    json_take("]")
}

function json_peek() {
    sub(/^[ \t\r\n]+/, "", JSON)
    return substr(JSON, 1, 1)
}

function json_take(sign) {
    if (json_peek() != sign)
        fail("standard input is not JSON, " sign " is missing before: " substr(JSON, 1, 40))
    JSON = substr(JSON, 2)
}

# The string at the front of JSON, without its quotes and escapes.
function json_text(    raw, at, back) {
    if (substr(JSON, 1, 1) != "\"")
        fail("standard input is not JSON, a string is missing before: " substr(JSON, 1, 40))
    JSON = substr(JSON, 2)
    while (1) {
        at = index(JSON, "\"")
        if (at == 0)
            fail("standard input is not JSON, a string has no end")
        raw = raw substr(JSON, 1, at - 1)
        JSON = substr(JSON, at + 1)
        # A quote after an odd number of backslashes belongs to the string. The bound is for mawk,
        # which takes the first character for those before it.
        for (back = 0; back < length(raw) && substr(raw, length(raw) - back, 1) == "\\"; back++)
            ;
        if (back % 2 == 0)
            return unescaped(raw)
        raw = raw "\""
    }
}

function unescaped(raw,    parts, part, text, at, sign, code) {
    if (index(raw, "\\") == 0)
        return raw
    parts = split(raw, part, /\\/)
    text = part[1]
    for (at = 2; at <= parts; at++) {
        if (part[at] == "") {
            at++
            text = text "\\" part[at]
            continue
        }
        sign = substr(part[at], 1, 1)
        if (sign == "u") {
            code = hex(substr(part[at], 2, 4))
            if (code >= 55296 && code < 56320 && length(part[at]) == 5 && at < parts) {
                at++
                code = 65536 + (code - 55296) * 1024 + hex(substr(part[at], 2, 4)) - 56320
            }
            text = text utf8(code) substr(part[at], 6)
        } else {
            if (sign == "n") sign = "\n"
            else if (sign == "t") sign = "\t"
            else if (sign == "r") sign = "\r"
            else if (sign == "b" || sign == "f") sign = " "
            text = text sign substr(part[at], 2)
        }
    }
    return text
}

function hex(digits,    at, value) {
    for (at = 1; at <= length(digits); at++)
        value = value * 16 + index("0123456789abcdef", tolower(substr(digits, at, 1))) - 1
    return value + 0
}

function utf8(code) {
    if (code < 128)
        return sprintf("%c", code)
    if (code < 2048)
        return sprintf("%c%c", 192 + int(code / 64), 128 + code % 64)
    if (code < 65536)
        return sprintf("%c%c%c", 224 + int(code / 4096), 128 + int(code / 64) % 64, 128 + code % 64)
    return sprintf("%c%c%c%c", 240 + int(code / 262144), 128 + int(code / 4096) % 64, \
        128 + int(code / 64) % 64, 128 + code % 64)
}

function quoted(text) {
    text = swap(text, "\\", "\\\\")
    text = swap(text, "\"", "\\\"")
    text = swap(text, "\n", "\\n")
    text = swap(text, "\t", "\\t")
    text = swap(text, "\r", "\\r")
    gsub(/[\001-\037]/, " ", text)
    return "\"" text "\""
}

# Replaces a text by another, both as they are: gsub would read signs into them.
function swap(text, from, to,    at, done) {
    while ((at = index(text, from)) > 0) {
        done = done substr(text, 1, at - 1) to
        text = substr(text, at + length(from))
    }
    return done text
}

function fail(reason) {
    print reason | "cat 1>&2"
    close("cat 1>&2")
    exit 1
}

function trim(text) {
    gsub(/^[ \t\r\n]+|[ \t\r\n]+$/, "", text)
    return text
}

function lower(text) {
    text = swap(tolower(text), "Ä", "ä")
    text = swap(text, "Ö", "ö")
    return swap(text, "Ü", "ü")
}

# The text in lower case as words with one space between them and around them.
function spaced(text) {
    text = " " lower(text) " "
    gsub(/[ \t\r\n]+/, " ", text)
    return text
}

# An advert without its markup: inline tags vanish, all others end a line.
function plain(text) {
    gsub(/<\/?(a|b|em|i|span|strong|u)( [^>]*)?>/, "", text)
    gsub(/<[^>]*>/, "\n", text)
    gsub(/\*\*|__/, "", text)
    text = swap(text, "&nbsp;", " ")
    text = swap(text, "&auml;", "ä")
    text = swap(text, "&ouml;", "ö")
    text = swap(text, "&uuml;", "ü")
    text = swap(text, "&Auml;", "Ä")
    text = swap(text, "&Ouml;", "Ö")
    text = swap(text, "&Uuml;", "Ü")
    text = swap(text, "&szlig;", "ß")
    text = swap(text, "&euro;", "€")
    text = swap(text, "&ndash;", "–")
    text = swap(text, "&lt;", "<")
    text = swap(text, "&gt;", ">")
    return swap(text, "&amp;", "&")
}

# The rest of the first line that is labelled so; `names` are in lower case, with | between them.
function labelled(text, names,    lines, line, number, colon, name, known, at) {
    known = split(names, name, /\|/)
    lines = split(text, line, /\n/)
    for (number = 1; number <= lines; number++) {
        colon = index(line[number], ":")
        if (colon == 0 || trim(substr(line[number], colon + 1)) == "")
            continue
        for (at = 1; at <= known; at++)
            if (ends_with(" " lower(trim(substr(line[number], 1, colon - 1))), " " name[at]))
                return trim(substr(line[number], colon + 1))
    }
    return ""
}

function ends_with(text, end) {
    return length(text) >= length(end) && substr(text, length(text) - length(end) + 1) == end
}

# Splits `key: value` lines off the front of a text into FIELD; the rest is what comes after the
# first empty line.
function read_fields(text,    at, line, colon) {
    while (text != "") {
        at = index(text "\n", "\n")
        line = substr(text, 1, at - 1)
        text = substr(text, at + 1)
        if (trim(line) == "")
            return text
        colon = index(line, ":")
        FIELD[trim(substr(line, 1, colon - 1))] = trim(substr(line, colon + 1))
    }
    return ""
}

function summary(role, location, language, salary) {
    return "{\"role\":" quoted(one_line(role)) ",\"location\":" quoted(one_line(location)) \
        ",\"language\":" quoted(language) ",\"salary\":" quoted(one_line(salary)) "}"
}

function one_line(text) {
    gsub(/[ \t\r\n]+/, " ", text)
    return trim(text)
}

# True for a role with exclamation marks, or with more capital letters than others.
function shouts(role,    capital) {
    if (index(role, "!"))
        return 1
    capital = gsub(/[A-Z]/, "", role)
    return capital > 5 && capital > gsub(/[a-z]/, "", role)
}

# The number of characters: bytes that continue one do not count.
function characters(text) {
    gsub(/[\200-\277]/, "", text)
    return length(text)
}
