"""Names that an application may have."""

import keyword
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from models.contracts import CONTRACTS
from models.errors import TesseraError

#: Longer names would not fit into the lines of a skeleton; `I` or `O` is no name for a record.
LONGEST = 28
_SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
#: Folders whose modules an application's packages stand beside.
_BESIDE = ("", "assets", "pipelines", "models", "models/features", "tests", "tests/apps")


def check_name(name: str, clone: Path) -> None:
    """Return if an application of the clone can have this name.

    Raises:
        TesseraError: it is no snake_case name, or means something else already.
    """
    if not _SNAKE_CASE.fullmatch(name) or not 2 <= len(name) <= LONGEST:
        raise TesseraError(
            f"{name!r} is no name of an application.",
            expected=f"snake_case: lower-case letters, digits, single underscores, a letter first, 2 to {LONGEST}",
            todo=f"Call it {nearest!r}, for example."
            if len(nearest := _snake_case(name)) > 1 and nearest != name
            else "Choose another name.",
        )
    for meaning in _meanings(name, clone):
        raise TesseraError(
            f"An application cannot be called {name!r}: {meaning}.",
            expected="a name of its own",
            todo="Choose another name.",
        )


def class_name(name: str) -> str:
    """Return the name in CamelCase."""
    return "".join(part.capitalize() for part in name.split("_"))


def _meanings(name: str, clone: Path) -> Iterator[str]:
    """Yield what the name means already, in words."""
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        yield "it is a keyword of Python"
    if name in sys.stdlib_module_names:
        yield "it is a module of Python's standard library"
    if hasattr(BaseModel, name) or name.startswith("model_"):
        yield "settings of pydantic have a method of that name"
    if name in CONTRACTS:
        yield "it is a table"
    for folder in _BESIDE:
        for found in (clone / folder / name, clone / folder / f"{name}.py"):
            if found.exists():
                yield f"{found.relative_to(clone)} exists"
    for found in sorted((clone / "tests").rglob(f"test_{name}.py")):
        yield f"{found.relative_to(clone)} exists"


def _snake_case(name: str) -> str:
    """Return the nearest name in snake_case; nothing if no letter is left."""
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
    found = re.sub(r"[^a-z0-9]+", "_", parts).strip("_")[:LONGEST].strip("_")
    return re.sub(r"^[0-9_]+", "", found)
