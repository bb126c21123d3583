#!/bin/sh
# Answers [SKIP] where a summary exists already or the job no longer does, otherwise [RUN].
set -eu
export LC_ALL=C
here=$(dirname "$0")
exec awk "$(cat "$here/lib.awk")"'
BEGIN {
    read_call()
    if (trim(J["posting.summary"]) != "") {
        print "[SKIP] a summary exists"
        exit
    }
    status = lower(J["posting.status"])
    if (status == "closed" || status == "filled" || status == "expired") {
        print "[SKIP] the status is " status
        exit
    }
    phrases = split("bewerbungsfrist ist abgelaufen|stelle ist bereits besetzt|" \
        "no longer accepting applications|position has been filled", phrase, /\|/)
    text = spaced(plain(J["input"]))
    for (at = 1; at <= phrases; at++)
        if (index(text, phrase[at])) {
            print "[SKIP] the text says: " phrase[at]
            exit
        }
    print "[RUN]"
}
'
