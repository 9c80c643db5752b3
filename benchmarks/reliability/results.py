"""Results as JSON files beside the scripts, one for each measurement; the page is made of them."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "results"


def keep(name: str, found: Any) -> None:
    """Keep a result, with the day and the command that made it."""
    FOLDER.mkdir(exist_ok=True)
    command = " ".join(["python", "-m", "benchmarks.reliability", *sys.argv[1:]])
    kept = {"measured": datetime.now(UTC).date().isoformat(), "command": command, "found": found}
    (FOLDER / f"reliability-{name}.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def kept(name: str) -> dict[str, Any] | None:
    """Return a result; None if it was not measured yet."""
    file = FOLDER / f"reliability-{name}.json"
    return json.loads(file.read_text()) if file.exists() else None
