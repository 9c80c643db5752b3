"""The last gate verdict of an application as a file, replaced as a whole."""

from pathlib import Path

from pydantic import ValidationError

from models.errors import TesseraError
from models.gate_verdict import GateVerdict
from resources.durability import replace_durably


def write_verdict(path: Path, verdict: GateVerdict) -> None:
    """Replace the file's verdict, under the application's lock; a reader sees the old or the new one.

    Raises:
        TesseraError: it cannot be written; the file is then as before.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(path, verdict.model_dump_json().encode())
    except OSError as error:
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
