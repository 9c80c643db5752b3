"""The layout number of a home: data of another layout are refused, never read as if they were ours."""

import json
import os
import threading
from pathlib import Path

from models.errors import TesseraError

#: Raised whenever a home of an older version can no longer be read: paths, columns, digests, records.
LAYOUT = 4
FILE = "layout.json"

#: What a home of the first layout, which had no number, held as soon as anything was written to it.
_DATA = ("lake", "scores", "mlflow", "feast", "events.db", "streams.db")


def check_layout(home: Path) -> None:
    """Accept a home of this layout; number a new one.

    A home that cannot be written stays without a number: its next writer says why it fails.

    Raises:
        TesseraError: the home is of another layout, or its number cannot be read.
    """
    try:
        text = (home / FILE).read_text()
    except FileNotFoundError:
        return _number(home)
    except (NotADirectoryError, PermissionError):
        return None  # whatever is read or written there says so
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(home, str(error)) from None
    found = _layout_of(home, text)
    if found != LAYOUT:
        raise _other(home, f"has layout {found}", newer=found > LAYOUT)
    return None


def check_existing(home: Path) -> None:
    """Accept a home of this layout that something was written to; nothing is made.

    Raises:
        TesseraError: there is none, or it is of another layout.
    """
    if not any((home / name).exists() for name in (FILE, *_DATA)):
        raise TesseraError(
            f"There is no home {home}.",
            expected="a home in which a job has run",
            todo="Run `tessera run churn_nightly` first, or choose another profile, TESSERA_PROFILE, or home, "
            "TESSERA_HOME.",
        )
    check_layout(home)


def _number(home: Path) -> None:
    if any((home / name).exists() for name in _DATA):
        raise _other(home, f"holds data and has no {FILE}: it is of layout 1", newer=False)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = home / f"{FILE}.{os.getpid()}.{threading.get_ident()}.tmp"
        with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write(json.dumps({"layout": LAYOUT}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(home / FILE)
    except OSError:
        return


def _layout_of(home: Path, text: str) -> int:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    found = document.get("layout") if isinstance(document, dict) else None
    if not isinstance(found, int) or isinstance(found, bool):
        raise _unreadable(home, f"it holds {text[:40]!r}")
    return found


def _unreadable(home: Path, why: str) -> TesseraError:
    number = json.dumps({"layout": LAYOUT})
    return TesseraError(
        f"The file {home / FILE} cannot be read: {why}.",
        expected=f"the layout of the home: `{number}`",
        todo="Restore it from a backup, write that into it if this version of Tessera made the home, or start anew in "
        "another home: TESSERA_HOME=/another/folder.",
    )


def _other(home: Path, what: str, *, newer: bool) -> TesseraError:
    made_by = "a newer version of Tessera" if newer else "an older version of Tessera"
    return TesseraError(
        f"The home {home} {what}, made by {made_by}.",
        expected=f"layout {LAYOUT}",
        todo=f"Start anew in another home (TESSERA_HOME=/another/folder), or move the old one away: "
        f"`mv {home} {home}.old`; data are ingested again from the source.",
    )
