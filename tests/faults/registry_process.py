"""What the processes of `test_registry_crash` do."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.ledger import LedgerEntry
from resources.registry import ledger_file
from resources.registry.mlflow_registry import MLflowRegistry, MLflowRegistryConfig


class Worker:
    """A registry on `home`, and what is registered in it."""

    def __init__(self, home: Path, package: Path) -> None:
        self.registry = MLflowRegistryConfig(path=str(home)).open()
        self.package = package

    def register(self, **metrics: float) -> str:
        return self.registry.register(
            "churn", self.package, parameters={"p": "1"}, metrics=metrics, tags={"gate": "passed"}, report="r"
        )

    def promote(self, version: str, who: str = "ann") -> LedgerEntry:
        return self.registry.set_champion("churn", version, action="promote", why="w", who=who, run_id="", metrics={})


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(owner: Any, name: str) -> None:
    """The process dies when `owner.name` has returned."""
    original: Callable[..., Any] = getattr(owner, name)

    def dying(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        die()

    setattr(owner, name, dying)


def register_and_promote(home: Path, package: Path, writer: int, out: Path) -> None:
    worker = Worker(home, package)
    numbers = [worker.register(writer=float(writer), number=float(number)) for number in range(2)]
    for number in numbers:
        worker.promote(number, who=str(writer))
    out.write_text(" ".join(numbers))


def promote_twice_dying_after(home: Path, package: Path, step: str) -> None:
    from mlflow import MlflowClient

    worker = Worker(home, package)
    worker.promote(worker.register())
    second = worker.register()
    owner = {"append": ledger_file.LedgerFile, "set_registered_model_alias": MlflowClient}[step]
    die_after(owner, step)
    worker.promote(second)


def die_in_the_ledger_line(home: Path, package: Path) -> None:
    worker = Worker(home, package)
    first = worker.register()

    def torn(path: Path, line: str) -> None:
        ledger_file._write_synced(path, line[:80].encode(), os.O_APPEND)
        die()

    ledger_file._append_line = torn
    worker.promote(first)


def register_dying_after(home: Path, package: Path, step: str) -> None:
    from mlflow import MlflowClient

    die_after(MlflowClient, step)
    Worker(home, package).register()


def die_while_fetching(home: Path, package: Path) -> None:
    worker = Worker(home, package)
    version = worker.register()

    def half(self: MLflowRegistry, app: str, version: str, folder: Path) -> None:
        (folder / "manifest.json").write_bytes((package / "manifest.json").read_bytes())
        die()

    MLflowRegistry._download = half
    worker.registry.fetch("churn", version)


def die_in_the_lock(home: Path, package: Path) -> None:
    worker = Worker(home, package)
    worker.register()
    with worker.registry.lock("churn"):
        die()


def hold_the_lock(home: Path, package: Path, held: Any, free: Any) -> None:
    with Worker(home, package).registry.lock("churn"):
        held.set()
        free.wait(60)
