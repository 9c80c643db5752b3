"""`tessera costs`: what calls to paid models cost, by day, application, run or model."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from models.errors import TesseraError
from pipelines.cli.arguments import day_of
from pipelines.cli.console import counted, err, listing, out
from pipelines.cli.tables import print_json
from resources.cost_ledger import FILE, By, CostLedger, CostTotal
from resources.stack.loader import active_stack

_DAYS = 30
#: Name of calls that belong to no application or run: of commands that are of no application.
_NONE = "none"


def costs(first_text: str | None, last_text: str | None, by: By, *, as_json: bool) -> None:
    """Print calls, tokens and EUR of the days; default: the last 30.

    Raises:
        TesseraError: a day cannot be read, or the first is after the last.
    """
    last = day_of(last_text) if last_text else datetime.now(UTC).date()
    first = day_of(first_text) if first_text else last - timedelta(days=_DAYS - 1)
    if first > last:
        raise TesseraError(f"{first} is after {last}.", expected="--from before --to", todo="Swap the two days.")
    found = CostLedger(active_stack().home / FILE).totals(first, last, by)
    if as_json:
        print_json({"from": first, "to": last, "by": by, "totals": [asdict(one) for one in found]})
    else:
        _show(first, last, by, found)


def cost_of_run(home: Path, run_id: str, rows: int | None) -> str:
    """Return the cost of a run's calls in words, also per 1,000 of the rows that it scored; "" if it made no call."""
    found = CostLedger(home / FILE).of_run(run_id)
    if found is None:
        return ""
    failed = f" ({found.failed:,} failed)" if found.failed else ""
    if found.unpriced_calls:
        return f"unknown: {counted(found.unpriced_calls, 'call')} of {found.calls:,} without a price{failed}"
    each = f", {1000 * found.money_eur / rows:.4f} EUR per 1,000 scores" if rows else ""
    return f"{found.money_eur:.4f} EUR for {counted(found.calls, 'call')}{failed}{each}"


def _show(first: date, last: date, by: By, found: Sequence[CostTotal]) -> None:
    if not found:
        out.print(f"No call to a paid model from {first} to {last}: models on this machine cost nothing per call.")
        return
    cells = (
        (
            one.name or _NONE,
            f"{one.calls:,}",
            f"{one.failed:,}",
            f"{one.input_tokens:,}",
            f"{one.output_tokens:,}",
            f"{one.money_eur:.4f}" if one.calls > one.unpriced_calls else "unknown",
        )
        for one in found
    )
    out.print(listing((by, "calls", "failed", "tokens sent", "tokens answered", "EUR"), cells))
    out.print(f"{first} to {last}: {sum(one.money_eur for one in found):.4f} EUR")
    if unpriced := sum(one.unpriced_calls for one in found):
        err.print(
            f"Note: the price of {unpriced:,} calls is unknown, and their cost is not in the sum: set "
            "`calls: {input_eur_per_million_tokens, output_eur_per_million_tokens}` of the model in stack.yaml."
        )
