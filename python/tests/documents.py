"""Documents of every kind for property tests, and when one is the same as another."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from turing_events.documents import encode

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
DECIMALS = st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40, places=None
)
NUMBERS = st.one_of(
    st.integers(-(10**300), 10**300),
    st.floats(allow_nan=False, allow_infinity=False),
    DECIMALS.filter(lambda number: Decimal(number).copy_abs() > Decimal("1E-300") or not number),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda values: st.one_of(
        st.lists(values, max_size=4), st.dictionaries(TEXTS, values, max_size=4)
    ),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(TEXTS, VALUES, max_size=5)


def same(sent: Any, read: Any, decimals: bool = False) -> bool:
    """Whether a value came back as it was sent, of the same type and with the same digits.

    A Decimal without a point is an int, and with `decimals` a float is a Decimal.
    """
    if isinstance(sent, Mapping):
        return sent.keys() == read.keys() and all(
            same(item, read[key], decimals) for key, item in sent.items()
        )
    if isinstance(sent, list):
        return len(sent) == len(read) and all(
            same(item, other, decimals) for item, other in zip(sent, read)
        )
    if isinstance(sent, Decimal):
        digits = format(sent if sent else sent.copy_abs(), "f")
        kind = Decimal if "." in digits else int
        return type(read) is kind and format(Decimal(read), "f") == digits
    if isinstance(sent, float) and decimals:
        return isinstance(read, Decimal) and format(read, "f") == encode(sent, "")
    return type(sent) is type(read) and bool(sent == read)
