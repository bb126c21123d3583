#!/bin/sh
# Prints the title with the latest teaser, if there is one.
set -eu
exec awk "$(cat actors/json.awk)"'
BEGIN {
    read_document()
    # The output of conversation 9201 is JSON in a text: reading it once more gives its keys.
    title = J["input"]
    REST = J["outputs.9201"]
    if (REST != "")
        value("draft")
    print title (J["draft.teaser"] == "" ? "" : ": " J["draft.teaser"])
}
'
