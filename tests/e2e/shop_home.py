"""A small shop in a folder of its own, and the command line as a user calls it."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml
from forked import Forked
from in_process import Said
from in_process import tessera as tessera_here

from models.publishing import Publication
from resources.stack.loader import ROOT, Stack, load_stack

#: The day that the trained home has scored, and the first of its shop.
DAY = date(2026, 3, 1)
FIRST_DAY = DAY - timedelta(days=119)
#: A model that is trained in a fraction of the time, for tests in which it does not matter which model it is.
SMALL_TRAINERS: list[dict[str, Any]] = [
    {"kind": "xgboost", "folds": 2, "max_rounds": 100, "learning_rate": 0.1},
    {"kind": "logistic_regression"},
]
#: What any small stack has: a small shop, such trainers, one thread.
FEW: dict[str, Any] = {
    "ports": {"engine": {"kind": "local", "threads": 1, "memory_limit_mb": 1000, "temp_directory": "${home}/tmp"}},
    "settings": {"churn": {"candidates": SMALL_TRAINERS, "max_training_cutoffs": 3, "gate": {"n_bootstrap": 200}}},
}
#: For tests that do not ask whether a small shop's model is good.
LENIENT: dict[str, Any] = {
    "min_quality": 0.5,
    "baseline_margin": 1.0,
    "max_ece": 1.0,
    "max_calibration_gap": 1.0,
    "max_slice_drop": 1.0,
}
#: Four months of orders and one quick candidate, for tests that need a home and nights, but no good model.
YOUNG: dict[str, Any] = {
    "settings": {
        "ingestion": {"history_days": 120},
        "churn": {
            "horizon_days": 28,
            "population_days": 90,
            "max_training_cutoffs": 3,
            "candidates": [{"kind": "logistic_regression"}],
            "gate": LENIENT | {"n_bootstrap": 100, "confidence": 0.999},
        },
    }
}
#: A shop that is four months old on DAY, with rows to refuse on that day and the next.
SHOP: dict[str, Any] = {"kind": "simulated", "customers": 700, "seed": 27, "first_day": FIRST_DAY.isoformat()}
#: The day of the README's chapter on fraud, and settings with which its model takes a third of the time: fewer days of
#: payments would do that too, but no model learns enough from them.
FRAUD_DAY = date(2026, 3, 1)
SMALL_FRAUD: dict[str, Any] = {
    "candidates": [{"kind": "logistic_regression"}],
    "gate": {"n_bootstrap": 100},
}
_BIN = Path(sys.executable).parent
_FORBIDDEN = "Traceback"
#: Where MLflow remembers folders.
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


@dataclass(frozen=True)
class Home:
    """A home and the stack file that is used with it."""

    folder: Path
    stack: Path
    profile: str = "local"

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a process of this home sees: nothing of the test run's own settings."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "CI") if name in os.environ}
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        ours = {"TESSERA_STACK": self.stack, "TESSERA_HOME": self.folder, "TESSERA_PROFILE": self.profile}
        return kept | threads | {name: str(value) for name, value in ours.items()} | dict(more or {})

    def start(
        self, *arguments: str | Path, program: str = "tessera", stdin: int | None = None, **more: str
    ) -> "subprocess.Popen[str]":
        """A command that runs while the test goes on."""
        return subprocess.Popen(
            [_BIN / program, *arguments],
            cwd=ROOT,
            env=self.environment(more),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def fork(self, *arguments: str | Path, program: str = "tessera", **more: str) -> Forked:
        """A command as a process that runs while the test goes on, without the seconds in which one imports."""
        return Forked([program, *map(str, arguments)], self.environment(more))

    def tessera(self, *arguments: str | Path, code: int = 0, **more: str) -> Said:
        """A command from start to end, in this process; it must end with `code` and never show a traceback."""
        said = tessera_here([str(argument) for argument in arguments], self.environment(more))
        return _as_expected(said, code)

    def process(self, *arguments: str | Path, code: int = 0, program: str = "tessera", **more: str) -> Said:
        """The same in a process of its own, for programs that are not ours and what only a process shows."""
        return ended(self.start(*arguments, program=program, **more), code)

    def refuses(self, *arguments: str | Path, code: int = 2, **more: str) -> str:
        """What stderr says when a command ends with `code` and the three-part message."""
        said = self.tessera(*arguments, code=code, **more)
        assert [line.split(":")[0] for line in said.err.splitlines() if line.strip()] == [
            "Stopped",
            "Expected",
            "Do this",
        ], said.err
        return said.err

    def scores(self, day: date, file: Path) -> bytes:
        """The published scores of a day, as the bytes of the file a user gets."""
        self.tessera("scores", "churn", "--date", day.isoformat(), "--out", file)
        return file.read_bytes()

    def opened(self) -> Stack:
        """The same stack in this process, to look at what the commands left."""
        return load_stack(self.stack, self.profile, str(self.folder), os.environ)

    def published(self, day: date) -> Publication | None:
        """The published set of a day."""
        return self.opened().open("sink").published("churn", day)

    def digest(self, day: date) -> str:
        """The digest of the published rows of a day (rows, columns and order)."""
        published = self.published(day)
        assert published is not None, f"nothing is published for {day}"
        return published.digest

    def copy(self, folder: Path) -> "Home":
        """The same home once more, to change; in its own MLflow, models lie in its own folder."""
        shutil.copytree(self.folder, folder)
        models = folder / "mlflow" / "mlflow.db"
        if models.exists():
            with closing(sqlite3.connect(models)) as connection, connection:
                for table, column in _PLACES:
                    moved = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"  # noqa: S608 - names of ours
                    connection.execute(moved, (f"{self.folder}/", f"{folder}/"))
        return replace(self, folder=folder)

    def with_stack(self, file: Path, change: Mapping[str, Any]) -> "Home":
        """This home under another stack file: its own, and `change` laid over it."""
        return replace(self, stack=laid_over(self.stack, file, change))


def ended(process: "subprocess.Popen[str] | Forked", code: int = 0) -> Said:
    """What a started command said in the end."""
    out, err = process.communicate(timeout=900)
    return _as_expected(Said(process.returncode, out, err), code)


def _as_expected(said: Said, code: int) -> Said:
    assert said.code == code, f"exit code {said.code}, not {code}\n{said.out}\n{said.err}"
    assert _FORBIDDEN not in said.out + said.err
    return said


def write_stack(file: Path, *changes: Mapping[str, Any]) -> Path:
    """The shipped `stack.yaml`, a small shop and then `changes` laid over its profile `local`; ports replaced whole."""
    return laid_over(ROOT / "stack.yaml", file, FEW, YOUNG, {"ports": {"source": SHOP}}, *changes)


def laid_over(below: Path, file: Path, *changes: Mapping[str, Any], profile: str = "local") -> Path:
    """A stack file like `below`, with `changes` laid over one of its profiles."""
    document = yaml.safe_load(below.read_text())
    local = document["profiles"][profile]
    for part in changes:
        local["ports"] |= deepcopy(dict(part.get("ports", {})))
        for application, settings in part.get("settings", {}).items():
            local["settings"][application] = _merged(local["settings"][application], settings)
    file.write_text(yaml.safe_dump(document))
    return file


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        name: {**below[name], **above[name]} for name in below.keys() & above.keys() if isinstance(below[name], dict)
    }
    return {**below, **above, **both}
