"""JSON that keeps what it is given: every digit, and a float a float."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Any, Callable, Optional
from uuid import UUID

ParseFloat = Callable[[str], Any]

_quoted = json.encoder.encode_basestring  # text as it is, not as escapes


def encode(value: object, name: str) -> str:
    """A value as JSON; `name` is what an error calls it.

    Times, which JSON has none of, become text of ISO 8601, and so do UUIDs.
    """
    if value is None:
        return "null"
    if isinstance(value, str):
        return _text(value, name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return _float(value, name)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{name} is {value}, which JSON has no number for")
        return format(value, "f")
    if isinstance(value, Mapping):
        return "{" + ", ".join(_member(key, item, name) for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        items = (encode(item, f"{name}[{place}]") for place, item in enumerate(value))
        return "[" + ", ".join(items) + "]"
    if isinstance(value, UUID):
        return f'"{value}"'
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(
                f"{name} is a time without a time zone: use datetime.now(timezone.utc)"
            )
        return f'"{value.isoformat()}"'
    kind = type(value).__name__
    raise TypeError(f"{name} is a {kind}, which JSON has nothing for: write it as text or a number")


def decode(text: str, parse_float: Optional[ParseFloat] = None) -> Any:
    """The value of JSON. A number with a point is a float if that has the same digits, else a
    Decimal; `parse_float` says otherwise."""
    return _decoder(parse_float or _exact).decode(text)


@lru_cache(maxsize=8)
def _decoder(parse_float: ParseFloat) -> json.JSONDecoder:
    return json.JSONDecoder(parse_float=parse_float, parse_int=_integer)


def _text(value: str, name: str) -> str:
    if "\0" in value:
        raise ValueError(f"{name} has the character U+0000, which the database cannot hold")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{name} has half a surrogate pair, which is no text") from None
    return _quoted(value)


def _member(key: object, item: object, name: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{name} has the key {key!r}: keys of JSON are text, such as {str(key)!r}")
    return _text(key, f"a key of {name}") + ": " + encode(item, f"{name}.{key}")


def _float(value: float, name: str) -> str:
    if not isfinite(value):
        raise ValueError(f"{name} is {value}, which JSON has no number for")
    digits = float.__repr__(value + 0.0)  # the zero has no sign in the database
    if "e" not in digits:
        return digits
    # the database writes numbers out, and without a point one would come back as an integer
    digits = format(Decimal(digits), "f")
    return digits if "." in digits else digits + ".0"


def _exact(digits: str) -> object:
    number = float(digits)
    return number if _float_has(number, digits) else Decimal(digits)


def _float_has(number: float, digits: str) -> bool:
    written = float.__repr__(number)
    if written == digits:
        return True
    return "e" in written and isfinite(number) and _float(number, "") == digits


def _integer(digits: str) -> object:
    # Python refuses to read longer ones, which no program of Turing's writes, unless it is told to
    return int(digits) if len(digits) <= 4300 else Decimal(digits)
