"""The numbers of one media process as Prometheus text. Pure: gathers what others count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from media.ears.bank import BankStats
from media.pacer import Lateness

QUANTILES = (0.5, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class Number:
    """One sample. ``labels`` as they are written between the braces."""

    name: str
    kind: str
    about: str
    value: float
    labels: str = ""


def render(numbers: Iterable[Number], process: str) -> str:
    """Prometheus' text format; ``process`` tells processes behind one port apart."""
    lines: list[str] = []
    told: set[str] = set()
    for number in numbers:
        if number.name not in told:
            told.add(number.name)
            lines += [f"# HELP {number.name} {number.about}", f"# TYPE {number.name} {number.kind}"]
        labels = f'process="{process}"' + (f",{number.labels}" if number.labels else "")
        lines.append(f"{number.name}{{{labels}}} {number.value:g}")
    return "\n".join(lines) + "\n"


def gauge(name: str, about: str, value: float) -> Number:
    """What goes up and down."""
    return Number(f"waihu_media_{name}", "gauge", about, value)


def counter(name: str, about: str, value: float) -> Number:
    """What only grows."""
    return Number(f"waihu_media_{name}_total", "counter", about, value)


def lateness(name: str, about: str, late: Lateness) -> list[Number]:
    """Quantiles of a lateness since the start, in seconds."""
    full = f"waihu_media_{name}_seconds"
    quantiles = [Number(full, "gauge", about, late.quantile(share), f'quantile="{share:g}"') for share in QUANTILES]
    return [*quantiles, Number(full, "gauge", about, late.largest, 'quantile="1"')]


def hearing(stats: BankStats) -> list[Number]:
    """How the voice detector keeps up."""
    return [
        counter("vad_windows", "windows of 32 ms looked at", stats.windows),
        counter("vad_judged", "windows that went through the model", stats.judged),
        counter("vad_lost", "windows that came too late to be looked at", stats.lost),
    ]
