# Reads the JSON document on standard input into J: J["input"], J["posting.title"], J["outputs.9201"].
# POSIX awk for LC_ALL=C, where text is bytes. `null` reads as an empty text.

function read_document(    line) {
    while ((getline line) > 0)
        REST = REST line "\n"
    value("")
}

function value(path,    name, number) {
    if (next_is("{")) {
        while (!next_is("}")) {
            name = string()
            next_is(":")
            value(path == "" ? name : path "." name)
            next_is(",")
        }
    } else if (next_is("[")) {
        while (!next_is("]")) {
            value(path "." number++)
            next_is(",")
        }
    } else if (substr(REST, 1, 1) == "\"") {
        J[path] = string()
    } else if (match(REST, /^(true|false|null|-?[0-9][-+.0-9eE]*)/)) {
        J[path] = substr(REST, 1, RLENGTH)
        if (J[path] == "null")
            J[path] = ""
        REST = substr(REST, RLENGTH + 1)
    } else
        fail("standard input is not JSON near: " substr(REST, 1, 40))
}

# True if this sign comes next; then it is taken.
function next_is(sign) {
    sub(/^[ \t\r\n]+/, "", REST)
    if (substr(REST, 1, 1) != sign)
        return 0
    REST = substr(REST, 2)
    sub(/^[ \t\r\n]+/, "", REST)
    return 1
}

function string(    text, plain, sign) {
    if (!match(REST, /^"([^"\\]|\\.)*"/))
        fail("standard input is not JSON, a string is missing before: " substr(REST, 1, 40))
    text = substr(REST, 2, RLENGTH - 2)
    REST = substr(REST, RLENGTH + 1)
    while (match(text, /\\/)) {
        plain = plain substr(text, 1, RSTART - 1)
        sign = substr(text, RSTART + 1, 1)
        text = substr(text, RSTART + 2)
        if (sign == "u") {
            # Turing escapes control characters only; everything else comes as UTF-8.
            plain = plain " "
            text = substr(text, 5)
        } else
            plain = plain (sign == "n" ? "\n" : sign == "t" ? "\t" : sign == "r" ? "\r" : \
                sign == "b" || sign == "f" ? " " : sign)
    }
    return plain text
}

# The text as a JSON string.
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
