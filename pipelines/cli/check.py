"""`tessera check`: does every part of the profile answer?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace

from rich.text import Text

from models.errors import TesseraError
from models.gates.closing import failure_of, reason_of
from pipelines.cli.console import err, listing, literal, out
from pipelines.cli.hints import runnable
from pipelines.cli.sampled import Sampled, sampled
from pipelines.cli.tables import print_json
from resources.health import Health
from resources.home import writable_home
from resources.masking import masked
from resources.source.port import Source
from resources.stack.loader import Stack, active_stack
from resources.stack.recipes import trainers_of


def check(*, as_json: bool = False) -> int:
    """Print a line for each part and each sampled table; 0 if all are well, else 1."""
    stack = active_stack()
    answers = {"home": _asked(lambda: Health(True, str(writable_home(stack))))}
    answers |= {port: _asked(lambda port=port: stack.open(port).check()) for port in stack.table}
    for app, settings in stack.settings:
        for candidate in getattr(settings, "candidates", ()) if app in stack.apps else ():
            answers[f"{app} candidate: {candidate.kind}"] = _asked(lambda one=candidate: trainers_of([one])[0].check())
    if not as_json:
        _print_parts(answers, stack)
    samples, problems = _sampled_tables(stack) if answers["source"].ok else ([], [])
    well = not problems and all(found.share <= _limit(stack) for found in samples)
    well = well and all(health.ok for health in answers.values())
    if as_json:
        kinds = {part: None if part == "home" or " " in part else stack.kind(part) for part in answers}
        parts = [{"part": part, "kind": kinds[part], **asdict(health)} for part, health in answers.items()]
        tables = [asdict(found) for found in samples]
        print_json({"profile": stack.name, "ok": well, "parts": parts, "tables": tables, "problems": problems})
    else:
        _print_samples(samples, problems, stack)
    return 0 if well else 1


def _print_parts(answers: Mapping[str, Health], stack: Stack) -> None:
    cells = (
        (_titled(part, stack), _mark(health), health.says, runnable(health.todo)) for part, health in answers.items()
    )
    out.print(f"profile {stack.name}")
    out.print(listing(("part", "", "says", "do this"), cells))


def _print_samples(samples: Sequence[Sampled], problems: Sequence[str], stack: Stack) -> None:
    """Print a sample of each table through its contract, and those for whose quarantine a night would stop."""
    for problem in problems:
        err.print(runnable(problem))
    for found in samples:
        for line in found.lines():
            out.print(line)
        if found.share > _limit(stack):
            out.print(f"  too many: a night stops above {_limit(stack):.1%} (settings.ingestion.max_quarantined_share)")


def _sampled_tables(stack: Stack) -> tuple[list[Sampled], list[str]]:
    """Return samples of the source's tables, and a sentence for each table that cannot be read."""
    source: Source = stack.open("source")
    samples: list[Sampled] = []
    problems: list[str] = []
    for table in sorted(source.tables()):
        try:
            samples.append(sampled(table, source))
        except TesseraError as error:
            problems.append(f"{table}: {error.what} {error.todo}")
    return samples, problems


def _limit(stack: Stack) -> float:
    return stack.settings.ingestion.max_quarantined_share


def _mark(health: Health) -> Text:
    return literal("ok", "green") if health.ok else literal("wrong", "red")


def _titled(part: str, stack: Stack) -> str:
    return part if part == "home" or " " in part else f"{part}: {stack.kind(part)}"


def _asked(question: Callable[[], Health]) -> Health:
    """Ask a part for its health; one that cannot even be opened, or fails when it is asked, is not well either."""
    found: list[Health] = []
    error = failure_of(lambda: found.append(question()))
    if isinstance(error, TesseraError):
        health = Health(False, error.what, error.todo)
    elif error is not None:
        health = Health(False, reason_of(error), "Correct this part's settings, or the place that they name.")
    else:
        health = found[0]
    return replace(health, says=masked(health.says), todo=masked(health.todo))
