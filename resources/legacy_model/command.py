"""A command in an environment of its own: JSON lines in, JSON lines out. The way to run an old scikit-learn.

Per batch one line `{"id": 1, "features": [...], "rows": [[...], ...]}` goes to its stdin, and one line
`{"id": 1, "scores": [...]}` comes from its stdout: a number per row, or a list of `output.of` numbers. It may answer
`{"id": 1, "error": "..."}`. What it writes to stderr is shown when it fails.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal
from weakref import WeakValueDictionary

import dagster as dg
import numpy as np
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError
from models.training.model import Matrix
from models.training.package_files import sha256_of
from resources.calls.failure import CallFailed
from resources.calls.guard import Answered, Guard
from resources.calls.policy import CallPolicy
from resources.conformance.capabilities import Gap
from resources.legacy_model.json_rows import json_rows
from resources.legacy_model.line_process import LineProcess, Network, environment_digest
from resources.legacy_model.port import LegacyModel, Outputs, Signature, checked_outputs

_BATCH_ROWS = 1_000
#: Argument that stands for our program which runs a pickle, wherever it is installed.
RUN_PICKLE = "tessera:run_pickle"


class CommandConfig(dg.Config):
    """A command, the files that it is made of, and what it may reach."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gaps: ClassVar = {
        "contributions": Gap("the protocol has scores only", "^TesseraError: .*cannot say"),
    }

    kind: Literal["command"] = "command"
    argv: list[str] = Field(min_length=1, description="Program and arguments; no shell.")
    files: list[str] = Field(
        default=[], description="Files that it is made of (script, pickle): a changed one is refused."
    )
    sha256: dict[str, str] = Field(default={}, description="Of each file, as imported; written by the import.")
    environment: str = Field(
        default="", description="sha256 of the packages beside the program, as imported; written by the import."
    )
    network: Network = Field(
        default="allowed",
        description="`none`: it is refused where the kernel cannot take the network away; `none_if_possible`: it then"
        " runs with it.",
    )
    pass_env: list[str] = Field(
        default=[], description="Variables of the environment that it gets beside PATH, LANG and TZ."
    )
    memory_mb: int = Field(default=4096, ge=64, description="Address space of the process, 10^6 bytes.")
    calls: CallPolicy = Field(default=CallPolicy(), description="Time limit and tries of a batch.")

    def sealed(self, beside: Path) -> CommandConfig:
        """Return the config with absolute paths, and the digests of its files and environment as they are now.

        Args:
            beside: folder that relative paths start from.

        Raises:
            TesseraError: a file does not exist.
        """
        named = dict(zip(self.files, [_file(beside, name) for name in self.files], strict=True))
        program = (beside / self.argv[0]) if "/" in self.argv[0] else Path(self.argv[0])
        argv = [str(program), *(str(named.get(one, one)) for one in self.argv[1:])]
        return self.model_copy(
            update={
                "argv": argv,
                "files": [str(path) for path in named.values()],
                "sha256": {str(path): sha256_of(path) for path in named.values()},
                "environment": environment_digest(argv[0]),
            }
        )

    def open(self, folder: Path, signature: Signature) -> CommandModel:  # noqa: ARG002 - nothing of it is there
        """Return the command, which starts with its first batch.

        Raises:
            TesseraError: a file or the environment is not as it was imported.
        """
        for name, imported in self.sha256.items():
            path = Path(name)
            if not path.is_file() or sha256_of(path) != imported:
                raise _changed(name, "was changed" if path.is_file() else "is gone")
        if self.environment and environment_digest(self.argv[0]) != self.environment:
            raise _changed(self.argv[0], "has other packages beside it than when it was imported")
        return CommandModel(self, signature)


class CommandModel(LegacyModel):
    """A process that stays until the model is closed; one that failed is started anew for the next try."""

    kind = "command"

    def __init__(self, config: CommandConfig, signature: Signature) -> None:
        self._signature, self._name = signature, " ".join(config.argv)[:120]
        self._process = _process_of(config)
        self._guard = Guard(self._name, "score", config.calls, is_remote=False)
        self._numbers = itertools.count(1)

    @override
    def predict(self, inputs: Matrix) -> Outputs:
        parts = [self._scored(part) for part in _batches(inputs)]
        return np.concatenate(parts) if parts else np.empty((0, self._signature.outputs))

    @override
    def clock(self) -> float:
        return super().clock() + self._process.cpu_seconds()

    @override
    def close(self) -> None:
        self._process.stop()

    def _scored(self, inputs: Matrix) -> Outputs:
        number = next(self._numbers)
        asked = {"id": number, "features": self._signature.names}
        line = json.dumps({**asked, "rows": json_rows(inputs, self._signature.features)})
        answer = self._guard.call(lambda seconds: Answered(self._answer(number, line, seconds)), tokens=0)
        if "error" in answer:
            raise TesseraError(
                f"{self._name} refuses {len(inputs)} rows: {str(answer['error'])[:300]}",
                expected="scores of these inputs",
                todo="Compare `features` in the contract with what the command reads.",
            )
        return checked_outputs(answer["scores"], len(inputs), self._signature, self._name)

    def _answer(self, number: int, line: str, seconds: float) -> dict[str, Any]:
        said = self._process.ask(line, seconds)
        try:
            found = json.loads(said)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or found.get("id") != number or not {"scores", "error"} & found.keys():
            self._process.stop()
            raise CallFailed(
                f"{self._name} answers {said[:80]!r}: no line "
                f'{{"id": {number}, "scores": [...]}}.{self._process.last_words()}',
                is_temporary=False,
            )
        return found


#: Processes that run: a version that is loaded twice, to be checked and to score, is one process.
_RUNNING: WeakValueDictionary[str, LineProcess] = WeakValueDictionary()


def _process_of(config: CommandConfig) -> LineProcess:
    """Return the process of a command; those of the same program, files and rights share it."""
    key = config.model_dump_json(exclude={"calls"})
    runner = str(Path(__file__).parent / "run_pickle.py")
    argv = [runner if one == RUN_PICKLE else one for one in config.argv]
    found = _RUNNING.get(key) or LineProcess(
        argv, network=config.network, pass_env=config.pass_env, memory_mb=config.memory_mb
    )
    return _RUNNING.setdefault(key, found)


def _batches(inputs: Matrix) -> Iterator[Matrix]:
    return (inputs[start : start + _BATCH_ROWS] for start in range(0, len(inputs), _BATCH_ROWS))


def _file(beside: Path, name: str) -> Path:
    path = (beside / name).resolve()
    if not path.is_file():
        raise TesseraError(
            f"There is no file {name!r} in {beside}.",
            expected="the files that the command is made of",
            todo="Correct `runs.files` in the contract; paths start from its folder.",
        )
    return path


def _changed(name: str, how: str) -> TesseraError:
    return TesseraError(
        f"{name} {how}: the command is not the one that was imported.",
        expected="the files and packages of the import",
        todo="Put them back, or import the model again: it is then another version, and passes the gate again.",
    )
