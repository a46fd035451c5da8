"""Tickets that are decoded and checked in a second of a processor's time, without HTTP and without a database.

    python -m benchmarks.validation [--quick]

The floor is ``json.loads`` of the same bytes, which checks nothing. Beside it stand the way of createTasks (msgspec
straight into structs, then the numbers, blanks and digests, in ``api/tickets.py``), and a marshmallow schema with the
same rules, as flask-smorest's ``arguments`` would load it: without the digests, and without its own reading of the
request. The last row is a batch whose last ticket has a fault: it is read again, item by item, so that everything that
is wrong with it can be named. Nothing here waits, so processor time is counted, whoever else works on the machine.
Rounds are interleaved, ratios are taken within a round, and medians are printed.

Why msgspec. Whoever checks a batch of ten thousand holds the interpreter, so the worker answers nobody else meanwhile:
17 ms here, 150 with marshmallow (two cores of a Xeon, Python 3.11, nine rounds, 8.3 times in each of three runs), to
which a COPY of 150 ms is added in both. Naming every fault of a batch costs 40 ms, and only those pay who sent one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from api.envelope import ParameterError
from api.tickets import LONGEST_CONTENT, LONGEST_PHONE, LONGEST_TEXT, read
from benchmarks.api import BATCH, batch_body
from shared import numbers
from shared.errors import NumberError

FLOOR, OURS, MARSHMALLOW = "floor: json.loads, nothing checked", "as createTasks reads: msgspec", "marshmallow"
FAULTY = "as createTasks reads, last ticket faulty"


def printable(value: str) -> None:
    """Raises ValidationError for a text that is blank or has NUL in it."""
    if value.isspace() or "\0" in value:
        raise ValidationError("blank, or with NUL")


def dialable(value: str) -> None:
    """Raises ValidationError for what is no phone number."""
    try:
        numbers.parse(value)
    except NumberError as error:
        raise ValidationError("no phone number") from error


def text(longest: int, *more: Callable[[str], None]) -> fields.String:
    return fields.String(required=True, validate=[validate.Length(1, longest), printable, *more])


class TicketSchema(Schema):
    """The rules of ``api/tickets.py`` as marshmallow says them."""

    class Meta:
        unknown = EXCLUDE

    ticketNo = text(LONGEST_TEXT)  # noqa: N815
    phone = text(LONGEST_PHONE, dialable)
    username = text(LONGEST_TEXT)
    ticketType = text(LONGEST_TEXT)  # noqa: N815
    ticketContent = text(LONGEST_CONTENT)  # noqa: N815


_schema = TicketSchema(many=True)


def by_msgspec(body: bytes) -> int:
    """How many tickets there are. Raises ParameterError."""
    return len(read(body, BATCH))


def by_marshmallow(body: bytes) -> int:
    """How many tickets there are. Raises ValidationError."""
    return len(_schema.load(json.loads(body)))


def refused(body: bytes) -> int:
    """How many tickets there are in a batch with a fault, after all of it was read again."""
    try:
        read(body, BATCH)
    except ParameterError:
        return BATCH
    raise RuntimeError("expected the fault in the batch to be found")


def faulty(body: bytes) -> bytes:
    """The same batch with an empty name in its last ticket."""
    tickets = json.loads(body)
    tickets[-1]["username"] = ""
    return json.dumps(tickets, ensure_ascii=False).encode()


def measure(rounds: int) -> dict[str, list[float]]:
    """Tickets a second of each row, once a round; the first round warms up and does not count."""
    rows: dict[str, Callable[[bytes], int]] = {
        FLOOR: lambda body: len(json.loads(body)),
        OURS: by_msgspec,
        MARSHMALLOW: by_marshmallow,
        FAULTY: refused,
    }
    rates: dict[str, list[float]] = {name: [] for name in rows}
    for number in range(rounds + 1):
        body = batch_body()
        bodies = {name: faulty(body) if name == FAULTY else body for name in rows}
        for name in list(rows)[:: 1 if number % 2 else -1]:
            started = time.process_time()
            handled = rows[name](bodies[name])
            if number:
                rates[name].append(BATCH / (time.process_time() - started))
            assert handled == BATCH
    return rates


def show(rates: dict[str, list[float]]) -> None:
    print(f"\n{'tickets checked a second':<44}{'median':>10}{'worst':>10}{'best':>10}  ms a batch")
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"{name:<44}{median:>10,.0f}{min(values):>10,.0f}{max(values):>10,.0f}{BATCH / median * 1000:>12.0f}")
    for name in (FLOOR, MARSHMALLOW):
        ratio = statistics.median(ours / other for ours, other in zip(rates[OURS], rates[name], strict=True))
        print(f"{OURS} beside {name}: {ratio:.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description="Tickets decoded and checked a second, by msgspec and by marshmallow.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 3 if parser.parse_args().quick else 9
    print(f"batches of {BATCH:,} tickets, {rounds} rounds")
    show(measure(rounds))


if __name__ == "__main__":
    main()
