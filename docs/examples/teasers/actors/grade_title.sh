#!/bin/sh
# Answers [PASS] if the first line of the input, the title, stands in the rest of it.
set -eu
exec awk "$(cat actors/json.awk)"'
BEGIN {
    read_document()
    end = index(J["input"], "\n")
    title = substr(J["input"], 1, end - 1)
    named = index(tolower(substr(J["input"], end + 1)), tolower(title))
    print (named ? "[PASS]" : "[FAIL] the teaser does not name"), title
}
'
