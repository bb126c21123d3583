#!/bin/sh
# Answers [PASS] for a text that can be a job advert, and [FAIL] for anything else.
set -eu
export LC_ALL=C
here=$(dirname "$0")
exec awk "$(cat "$here/lib.awk")"'
BEGIN {
    read_call()
    text = trim(plain(J["input"]))
    words = split(text, word)
    if (text == "")
        print "[FAIL] the job description is empty"
    else if (words < 60)
        print "[FAIL] the job description has " words " words, 60 are needed to work with it"
    else
        print "[PASS] " words " words"
}
'
