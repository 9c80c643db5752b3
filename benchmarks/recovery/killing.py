"""Commands killed by SIGKILL at random times: what the same command, run again, makes of the home."""

from __future__ import annotations

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
        clean_seconds: of the work without a kill, in a process of its own.
        again_seconds: of the same command after each kill, until the home was as after the undisturbed run.
        different: what was not the same as after the undisturbed run, a line per kill; empty: nothing was lost.
        said: how the first rerun after each kill ended, where that was not 0.
    """

    work: str
    command: str
    clean_seconds: float = 0.0
    kills: int = 0
    missed: int = 0
    times: list[float] = field(default_factory=list)
    again_seconds: list[float] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def as_json(self) -> Mapping[str, object]:
        """Plain values, for the results' file."""
        return asdict(self)


def killed(work: Work, base: Home, folder: Path, count: int, draw: random.Random) -> Killed:
    """Kill `work` so often, each time in a new copy of the base home, and compare."""
    found = Killed(work.name, "tessera " + " ".join(work.command))
    clean = base.copy(folder / f"clean-{work.name}")
    ended(clean, ("models", "churn"))  # the first process of all starts the server that the others are forks of
    found.clean_seconds = ended(clean, work.command)[0]
    wanted = fingerprint(clean) | work.also(clean)
    shutil.rmtree(clean.folder)
    for home, at in _disturbed(work, base, folder, count, draw, found):
        found.kills += 1
        found.times.append(at)
        seconds, code, said = ended(home, work.command)
        if code:
            found.said.append(said)
            more, code, said = ended(home, work.command) if work.again else (0.0, code, said)
            seconds += more
        found.again_seconds.append(round(seconds, 2))
        now = fingerprint(home) | work.also(home)
        changed = sorted(name for name in wanted.keys() | now.keys() if wanted.get(name) != now.get(name))
        if changed:
            found.different.append(f"killed after {at:.2f} s: {', '.join(changed)}")
        shutil.rmtree(home.folder)
    return found


def _disturbed(
    work: Work, base: Home, folder: Path, count: int, draw: random.Random, found: Killed
) -> Iterator[tuple[Home, float]]:
    for number in range(count):
        for _ in range(_TRIES):
            home, at = (
                base.copy(folder / f"{work.name.replace(' ', '-')}-{number}"),
                draw.random() * found.clean_seconds,
            )
            if _killed_at(home, work.command, at):
                yield home, round(at, 3)
                break
            found.missed += 1
            shutil.rmtree(home.folder)


def _killed_at(home: Home, command: tuple[str, ...], seconds: float) -> bool:
    """Return True if the command was still running after so many seconds, and was killed."""
    process = home.fork(*command)
    time.sleep(seconds)
    running = process.poll() is None
    process.kill()
    process.communicate(timeout=60)
    return running and process.returncode == -signal.SIGKILL


def ended(home: Home, command: tuple[str, ...]) -> tuple[float, int, str]:
    """Seconds, exit code and last words of a command in a process of its own."""
    started = time.perf_counter()
    process = home.fork(*command)
    out, err = process.communicate(timeout=_PATIENCE_SECONDS)
    seconds = time.perf_counter() - started
    return round(seconds, 2), process.returncode or 0, _last_words(err + out) if process.returncode else ""


def _last_words(text: str) -> str:
    """Return the sentence that a command ends with, or the row `stopped` of its card; without the choice of a home."""
    found = re.search(r"Stopped: .*|│ (stopped .*?)(?=\n│ \S|\n╰)", text, re.DOTALL)
    said = re.sub(r"[│\s]+", " ", found[1] or found[0]) if found else ""
    return re.sub(r"(TESSERA_[A-Z]+=\S+ )+(\\ )?", "", said)[:300].strip()


__all__ = ["Killed", "ended", "killed"]
