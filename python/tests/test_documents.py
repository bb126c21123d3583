"""JSON keeps every digit, every character and the kind of a number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given

from documents import DOCUMENTS, same
from turing_events.documents import decode, encode


@given(DOCUMENTS)
def test_what_is_written_is_read_as_it_was_sent(document: dict[str, Any]) -> None:
    text = encode(document, "event_data")
    assert same(document, decode(text))
    plain = encode(document, "event_data", is_plain=True)
    assert same(document, decode(plain, Decimal), decimals=True)
    json.loads(text)  # it is JSON for everybody


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e16, "10000000000000000.0"),
        (1e-7, "0.0000001"),
        (-0.0, "0.0"),
        (1.5, "1.5"),
        (10**30, "1" + "0" * 30),
        (Decimal("19.99"), "19.990"),
        (Decimal("1.10"), "1.100"),
        (Decimal("2.0"), "2.00"),
        (Decimal("-0.0"), "0.00"),
        (Decimal("0.1000000000000000055511151231257827"), "0.1000000000000000055511151231257827"),
        (Decimal("1E+3"), "1000"),
        (True, "true"),
        (None, "null"),
        ('é\n"\\u0000💥', '"é\\n\\"\\\\u0000💥"'),
        ((1, [2]), "[1, [2]]"),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (
            datetime(2026, 1, 2, 3, 4, 5, 6, timezone(timedelta(hours=1))),
            '"2026-01-02T03:04:05.000006+01:00"',
        ),
    ],
)
def test_a_value_has_this_text(value: object, text: str) -> None:
    assert encode(value, "event_data") == text


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"a": [float("nan")]}, r"event_data\.a\[0\] is nan"),
        ({"a": Decimal("Infinity")}, r"event_data\.a is Infinity"),
        ({"a": "x\0"}, r"event_data\.a has the character U\+0000"),
        ({"a": "\ud800"}, "half a surrogate pair"),
        ({"a\0": 1}, r"a key of event_data has the character U\+0000"),
        ({"a": datetime(2026, 1, 1)}, "without a time zone"),
        ({"a": {1: "x"}}, r"event_data\.a has the key 1: keys of JSON are text, such as '1'"),
        ({"a": {"b": {1}}}, r"event_data\.a\.b is a set"),
        ({"a": b"x"}, r"event_data\.a is a bytes"),
    ],
)
def test_what_json_has_nothing_for_is_refused_with_its_place(
    value: Mapping[str, object], problem: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=problem):
        encode(value, "event_data")


def test_a_number_of_somebody_else_keeps_its_value() -> None:
    digits = ["0.1", "0.10", "0.1000000000000000055511151231257827", "1.0", "1e400", "5E-1"]
    read = decode(f"[{', '.join(digits)}]")
    assert [type(number) for number in read] == [float, Decimal, Decimal, float, Decimal, Decimal]
    assert [Decimal(str(number)) for number in read] == [Decimal(number) for number in digits]
    assert decode("9" * 5000) == Decimal("9" * 5000)


def test_digits_are_as_they_are_if_they_shall_be() -> None:
    assert encode([Decimal("1.10"), 1.5], "event_data", is_plain=True) == "[1.10, 1.5]"
    assert decode("[1.10, 1.5]", Decimal) == [Decimal("1.10"), Decimal("1.5")]
