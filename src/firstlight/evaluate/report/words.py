"""Numbers as people write them."""

from __future__ import annotations

DASH = "–"


def decimal(value: float | None, digits: int = 2) -> str:
    return DASH if value is None else f"{value:.{digits}f}"


def count(value: float | None) -> str:
    return DASH if value is None else f"{value:,.0f}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """'1 photo', '2 photos'."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def duration(seconds: float | None) -> str:
    """'0.4 s', '38 s', '4 min 12 s', '1 h 5 min'."""
    if seconds is None:
        return DASH
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def megabytes(value: float | None) -> str:
    """'812 MB', '1.35 GB'; 1 GB is 1000 MB."""
    if value is None:
        return DASH
    return f"{value:.0f} MB" if value < 999.5 else f"{value / 1000:.2f} GB"


def short(value: float) -> str:
    """An axis label: '0.25', '12k', '1.5M'."""
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.6g}{unit}"
    return f"{value:.6g}"
