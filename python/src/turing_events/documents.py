"""JSON that keeps what it is given: every digit, a float a float and a Decimal a Decimal.

JSON has one kind of numbers with a point. A Decimal that a float could be is written with one zero
more than it has, which no float is written with, and read with one less.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from math import inf, isfinite
from typing import Any, Callable, Optional
from uuid import UUID

ParseFloat = Callable[[str], Any]

_quoted = json.encoder.encode_basestring  # text as it is, not as escapes


def encode(value: object, name: str, is_plain: bool = False) -> str:
    """A value as JSON; `name` is what an error calls it. If it is plain, Decimals are as they are.

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
        return _decimal(value, name, is_plain)
    if isinstance(value, Mapping):
        return "{" + ", ".join(_member(pair, name, is_plain) for pair in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        items = (encode(item, f"{name}[{place}]", is_plain) for place, item in enumerate(value))
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
    """The value of JSON, whose numbers with a point `parse_float` makes, if it is given."""
    parse_float = parse_float or _exact
    try:
        return _decoder(parse_float, None).raw_decode(text)[0]
    except ValueError:
        return _decoder(parse_float, _integer).raw_decode(text)[0]


@lru_cache(maxsize=8)
def _decoder(
    parse_float: ParseFloat, parse_int: Optional[Callable[[str], Any]]
) -> json.JSONDecoder:
    return json.JSONDecoder(parse_float=parse_float, parse_int=parse_int)


def _text(value: str, name: str) -> str:
    if "\0" in value:
        raise ValueError(f"{name} has the character U+0000, which the database cannot hold")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{name} has half a surrogate pair, which is no text") from None
    return _quoted(value)


def _member(pair: tuple[object, object], name: str, is_plain: bool) -> str:
    key, item = pair
    if not isinstance(key, str):
        raise TypeError(f"{name} has the key {key!r}: keys of JSON are text, such as {str(key)!r}")
    return _text(key, f"a key of {name}") + ": " + encode(item, f"{name}.{key}", is_plain)


def _float(value: float, name: str) -> str:
    if not isfinite(value):
        raise ValueError(f"{name} is {value}, which JSON has no number for")
    digits = float.__repr__(value + 0.0)  # the zero has no sign in the database
    if "e" not in digits:
        return digits
    # the database writes numbers out, and without a point one would come back as an integer
    digits = format(Decimal(digits), "f")
    return digits if "." in digits else digits + ".0"


def _decimal(value: Decimal, name: str, is_plain: bool) -> str:
    if not value.is_finite():
        raise ValueError(f"{name} is {value}, which JSON has no number for")
    digits = format(value if value else value.copy_abs(), "f")
    return digits if is_plain or not _is_float(_stripped(digits)) else digits + "0"


def _exact(digits: str) -> object:
    if _is_float(digits):
        return float(digits)
    return Decimal(digits[:-1] if _is_float(_stripped(digits)) else digits)


def _stripped(digits: str) -> str:
    """Without zeros at the end, but for one right behind the point."""
    if "." not in digits:
        return digits
    digits = digits.rstrip("0")
    return digits + "0" if digits.endswith(".") else digits


def _is_float(digits: str) -> bool:
    """Whether a float is written so."""
    number = float(digits) if "." in digits else inf
    return isfinite(number) and _float(number, "") == digits


def _integer(digits: str) -> object:
    # Python refuses to read longer ones, which no program of Turing's writes, unless it is told to
    return int(digits) if len(digits) <= 4300 else Decimal(digits)
