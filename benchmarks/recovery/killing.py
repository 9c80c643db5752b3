"""Commands killed by SIGKILL at random times: what the same command, run again, makes of the home."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.recovery.home import Home, fingerprint
from benchmarks.recovery.works import Work

#: A kill is drawn from the whole run of a command; one that ended before is drawn again so often.
_TRIES = 5
_PATIENCE_SECONDS = 900


@dataclass
class Killed:
    """The kills of one work.

    Attributes:
        clean_seconds: of the work without a kill, in a process of its own; `clean_cpu` its CPU seconds.
        recovery: CPU seconds of the same command after each kill, until the home was as after the undisturbed run, over
            those of the undisturbed run.
        different: what was not the same as after the undisturbed run, a line per kill; empty: nothing was lost.
        said: how the first rerun after each kill ended, where that was not 0.
    """

    work: str
    command: str
    clean_seconds: float = 0.0
    clean_cpu: float = 0.0
    kills: int = 0
    missed: int = 0
    times: list[float] = field(default_factory=list)
    recovery: list[float] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def as_json(self) -> Mapping[str, object]:
        """Plain values, for the results' file."""
        return asdict(self)


@dataclass(frozen=True)
class Ended:
    """A command that ended by itself: seconds, CPU seconds, exit code and last words."""

    seconds: float
    cpu_seconds: float
    code: int
    said: str


def killed(
    work: Work, base: Home, folder: Path, count: int, draw: random.Random, until: float = float("inf")
) -> Iterator[Killed]:
    """Kill `work` so often, each time in a new copy of the base home, and compare; yield one kill each.

    Args:
        work: what is killed.
        base: home that is copied.
        folder: for the copies.
        count: number of kills.
        draw: of their times.
        until: `time.monotonic()` after which no further one begins.
    """
    clean, wanted = _undisturbed(work, base, folder)
    for number in range(count):
        if time.monotonic() >= until:
            return
        found = Killed(work.name, work.said, round(clean.seconds, 2), round(clean.cpu_seconds, 2))
        home = _disturbed(work, base, folder / f"{work.name.replace(' ', '-')}-{number}", clean.seconds, draw, found)
        if home is not None:
            _recover(work, home, wanted, found)
            shutil.rmtree(home.folder)
        yield found


def _recover(work: Work, home: Home, wanted: Mapping[str, str], found: Killed) -> None:
    found.kills = 1
    again = ended(home, work.command)
    cpu, said = again.cpu_seconds, again.said
    if again.code:
        found.said.append(said)
        if work.again:
            again = ended(home, work.command)
            cpu += again.cpu_seconds
    found.recovery.append(round(cpu / found.clean_cpu, 3))
    now = fingerprint(home) | work.also(home)
    changed = sorted(name for name in wanted.keys() | now.keys() if wanted.get(name) != now.get(name))
    if again.code:
        changed.append(f"exit code {again.code}: {again.said}")
    if changed:
        found.different.append(f"killed after {found.times[-1]:.2f} s: {', '.join(changed)}")


def _undisturbed(work: Work, base: Home, folder: Path) -> tuple[Ended, Mapping[str, str]]:
    """Return how the work ends without a kill, and what is there then; measured once for each base home."""
    file = base.folder.with_name(f"clean-{work.name.replace(' ', '-')}.json")
    if not file.exists():
        clean = base.copy(folder / f"clean-{work.name.replace(' ', '-')}")
        work.before(clean)
        ended(clean, ("models", "churn"))  # the first process of all starts the server that the others are forks of
        found = ended(clean, work.command)
        if found.code:
            raise AssertionError(f"{work.name}: {found.said}")
        file.write_text(json.dumps([asdict(found), {**fingerprint(clean), **work.also(clean)}]))
        shutil.rmtree(clean.folder)
    found, wanted = json.loads(file.read_text())
    return Ended(**found), wanted


def _disturbed(work: Work, base: Home, folder: Path, seconds: float, draw: random.Random, found: Killed) -> Home | None:
    for _ in range(_TRIES):
        home, at = base.copy(folder), draw.random() * seconds
        work.before(home)
        if _killed_at(home, work.command, at):
            found.times.append(round(at, 3))
            return home
        found.missed += 1
        shutil.rmtree(home.folder)
    return None


def _killed_at(home: Home, command: tuple[str, ...], seconds: float) -> bool:
    """Return True if the command was still running after so many seconds, and was killed."""
    process = home.fork(*command)
    time.sleep(seconds)
    running = process.poll() is None
    process.kill()
    process.communicate(timeout=60)
    return running and process.returncode == -signal.SIGKILL


def ended(home: Home, command: tuple[str, ...]) -> Ended:
    """Run a command in a process of its own."""
    started = time.perf_counter()
    process = home.fork(*command)
    out, err = process.communicate(timeout=_PATIENCE_SECONDS)
    said = _last_words(err + out) if process.returncode else _remark(err + out)
    return Ended(round(time.perf_counter() - started, 2), process.cpu_seconds, process.returncode or 0, said)


def _last_words(text: str) -> str:
    """Return the sentence that a command ends with, or the row `stopped` of its card; without the choice of a home."""
    return _first(r"Stopped: .*|│ (stopped .*?)(?=\n│ \S|\n╰)", text)


def _remark(text: str) -> str:
    """Return what a command that did its work says of damage: a note, or the row `registry` of its card."""
    return _first(r"Note: [^\n]*|│ registry +(.*?)(?=\n│ \S|\n╰)", text)


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.DOTALL)
    said = re.sub(r"[│\s]+", " ", found[1] or found[0]) if found else ""
    return re.sub(r"(TESSERA_[A-Z]+=\S+ )+(\\ )?", "", said)[:300].strip()


__all__ = ["Ended", "Killed", "ended", "killed"]
