"""The last gate verdict of an application as a file, replaced as a whole."""

import os
import uuid
from pathlib import Path

from pydantic import ValidationError

from models.errors import TesseraError
from models.gate_verdict import GateVerdict


def write_verdict(path: Path, verdict: GateVerdict) -> None:
    """Replace the file's verdict; a reader sees the old or the new one.

    Raises:
        TesseraError: it cannot be written; the file is then as before.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            file.write(verdict.model_dump_json())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise TesseraError(
            f"The gate verdict {path} cannot be written: {error.strerror}.",
            expected="a writable file and free space on its disk",
            todo="Make room or correct the permissions; the champion is unchanged.",
        ) from error


def read_verdict(path: Path) -> GateVerdict | None:
    """Return the verdict of the file; None if there is none.

    Raises:
        TesseraError: it is no verdict.
    """
    try:
        return GateVerdict.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise TesseraError(
            f"The last gate verdict in {path} cannot be read.",
            expected="the file as the last training wrote it",
            todo="Delete it: the next training writes it again. Champion and scores do not depend on it.",
        ) from error
