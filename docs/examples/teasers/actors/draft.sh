#!/bin/sh
# Prints a teaser as JSON: the first 20 words of the advert, and in each further draft 5 words less.
set -eu
exec awk "$(cat actors/json.awk)"'
BEGIN {
    read_document()
    limit = 25 - 5 * J["execution"]
    count = split(J["input"], word)
    if (count == 0)
        fail("the job description is empty")
    for (number = 1; number <= count && number <= limit; number++)
        teaser = teaser (number == 1 ? "" : " ") word[number]
    print "{\"teaser\":" quoted(teaser) ",\"words\":" number - 1 "}"
}
'
