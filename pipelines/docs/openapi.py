"""The OpenAPI 3.1 document of the HTTP service, `docs/openapi.json`, with every application of the project.

`python -m pipelines.docs` does the same beside the other pages.

python -m pipelines.docs.openapi            writes docs/openapi.json
python -m pipelines.docs.openapi --check    exit code 1 when it is out of date, or breaks clients of the released one
python -m pipelines.docs.openapi --release  makes the present document the one that later changes are compared with
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from models.contracts.api_change import breaking_changes
from resources.stack.loader import ROOT, load_stack

FOLDER = ROOT / "docs"
_NAME, _RELEASED = "openapi.json", "openapi.released.json"


def document() -> dict[str, Any]:
    """Return the document of the shipped profile `local`."""
    from pipelines.service.build import build_routes, openapi
    from pipelines.service.door import Door
    from pipelines.service.metrics import Metrics

    with tempfile.TemporaryDirectory() as home:
        stack = load_stack(ROOT / "stack.yaml", "local", home, {"PATH": os.environ.get("PATH", "")})
        return openapi(build_routes(Door(stack), Metrics()))


def problems(folder: Path = FOLDER, made: dict[str, Any] | None = None) -> list[str]:
    """Return a sentence for each way in which the files are not what they must be, by `made` or a document made now."""
    made = document() if made is None else made
    found = []
    if not (folder / _NAME).is_file() or (folder / _NAME).read_text() != _text(made):
        found.append(f"docs/{_NAME} is out of date: run `python -m pipelines.docs.openapi`")
    if (folder / _RELEASED).is_file():
        released = json.loads((folder / _RELEASED).read_text())
        ways = "keep it, or give the new one another path (/v2)"
        found += [f"breaks clients: {change}; {ways}" for change in breaking_changes(released, made)]
    return found


def main(arguments: list[str] | None = None) -> int:
    """Exit code of the command; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.docs.openapi", description="Writes docs/openapi.json.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when not up to date")
    parser.add_argument("--release", action="store_true", help="later changes are compared with the present document")
    chosen = parser.parse_args(arguments)
    made = document()
    if not chosen.check:
        (FOLDER / _NAME).write_text(_text(made))
    if chosen.release:
        (FOLDER / _RELEASED).write_text((FOLDER / _NAME).read_text())
    found = problems(made=made)
    sys.stdout.writelines(f"{problem}\n" for problem in found)
    return 1 if found else 0


def _text(made: dict[str, Any]) -> str:
    return json.dumps(made, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.exit(main())
