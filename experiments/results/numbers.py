"""How numbers are printed, in tables, verdicts and the report alike."""

import math
from typing import Any

import numpy as np

MISSING = "–"
_FEWEST_DECIMALS_OF_SHARE, _MOST_DECIMALS = 2, 6


def is_known(value: Any) -> bool:
    """Whether there is a number: neither None nor NaN."""
    return value is not None and not math.isnan(value)


def share(value: float, decimals: int = 3) -> str:
    """A share of 1 without the leading 0, as statisticians print it: `.123`, `1.000`, `-.020`."""
    return _infinite(value) or _without_zero(f"{value:.{decimals}f}")


def number(value: float) -> str:
    """Any quantity with four significant digits."""
    return _infinite(value) or (f"{value:,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value + 0.0:.4g}")


def score(value: float, is_rate: bool) -> str:
    """A share or another quantity."""
    return share(value) if is_rate else number(value)


def percent(value: float) -> str:
    """A share of 1 as `73.7 %`."""
    return _infinite(value) or f"{100 * value:.1f} %"


def count(value: float) -> str:
    """A whole number as `2,000`; infinity is more than was tried."""
    return _infinite(value) or f"{round(value):,}"


def speed(value: float) -> str:
    """Steps a second as `5.59 M`."""
    if not is_known(value) or value == 0:
        return MISSING
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def interval(low: float, high: float, is_rate: bool = True) -> str:
    """Both ends as `[.080, .160]`, or "–" where they are not known."""
    if not (is_known(low) and is_known(high)):
        return MISSING
    return f"[{score(low, is_rate)}, {score(high, is_rate)}]"


def estimate(value: float, low: float, high: float, is_rate: bool = True) -> str:
    """A number with its interval, `.12 [.08, .16]`, with as many decimals as the width of the interval bears.

    Without a known interval, or where it has no width, the number alone; "–" without that.
    """
    if not is_known(value) or math.isinf(value):
        return score(value, is_rate)
    if not (is_known(low) and is_known(high) and math.isfinite(low) and math.isfinite(high)):
        return score(value, is_rate)
    decimals = _decimals(high - low, is_rate)
    if decimals is None:
        return score(value, is_rate)
    texts = [_plain(one, decimals, is_rate) for one in (value, low, high)]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"


def rounded(value: float, low: float, high: float, is_rate: bool = True) -> str:
    """A number with the decimals that `estimate` would print it with."""
    decimals = _decimals(high - low, is_rate) if is_known(low) and is_known(high) else None
    return score(value, is_rate) if decimals is None else _plain(value, decimals, is_rate)


def _decimals(width: float, is_rate: bool) -> int | None:
    """Decimals of which the last counts 5 to 50 units within the width; None where there is no width to go by."""
    if not math.isfinite(width) or width <= 0:
        return None
    wanted = -math.floor(math.log10(width / 5))
    fewest = _FEWEST_DECIMALS_OF_SHARE if is_rate else 0
    return max(fewest, min(wanted, _MOST_DECIMALS))


def _plain(value: float, decimals: int, is_rate: bool) -> str:
    return _without_zero(f"{value:.{decimals}f}") if is_rate else _unsigned_zero(f"{value:,.{decimals}f}")


def _without_zero(text: str) -> str:
    text = _unsigned_zero(text)
    if text.startswith("0."):
        return text[1:]
    return "-" + text[2:] if text.startswith("-0.") else text


def _unsigned_zero(text: str) -> str:
    """No minus before what was rounded to zero."""
    return text.removeprefix("-") if not text.strip("-0.") else text


def _infinite(value: float) -> str:
    """How what is no finite number is printed; empty for the others."""
    if not is_known(value):
        return MISSING
    return "" if math.isfinite(value) else ("∞" if value > 0 else "-∞")


def json_ready(value: Any) -> Any:
    """`value` for strict JSON: NaN as None, infinities as "Infinity" and "-Infinity", NumPy numbers as Python's."""
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value
