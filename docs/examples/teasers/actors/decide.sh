#!/bin/sh
# Answers [PASS] if both grades are there and passed, otherwise [AGAIN].
set -eu
exec awk "$(cat actors/json.awk)"'
BEGIN {
    read_document()
    passed = index(J["outputs.9202"], "[PASS]") && index(J["outputs.9203"], "[PASS]")
    print passed ? "[PASS]" : "[AGAIN]"
}
'
