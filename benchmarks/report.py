"""One page of results, docs/benchmarks.md, each benchmark owning one section of it."""

import importlib.metadata
import os
import platform
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
_TITLE = "# Benchmarks\n\nWritten by the scripts in `benchmarks/`; ratios are taken within one run.\n"


def replace_section(name: str, body: str, *, libraries: Sequence[str], page: Path = PAGE) -> None:
    """Section `name` of the page is `body` and how it was measured: machine, versions, date, command; others stay.

    Args:
        name: part of the markers `<!-- name:begin -->` and `<!-- name:end -->`.
        body: markdown, with its heading.
        libraries: distributions whose versions matter.
        page: created if there is none.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    section = f"{begin}\n{body.strip()}\n\n{_circumstances(libraries)}\n{end}"
    text = page.read_text() if page.exists() else _TITLE
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    text = pattern.sub(lambda _: section, text) if pattern.search(text) else f"{text.rstrip()}\n\n{section}\n"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text)


def _circumstances(libraries: Sequence[str]) -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in libraries)
    day = datetime.now(UTC).date().isoformat()
    command = " ".join(["python", "-m", _module(), *sys.argv[1:]])
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"Measured {day} with `{command}` on {os.cpu_count()} x {_processor()}, {platform.system()}, "
        f"Python {platform.python_version()}, {versions}; load average at the end {load}."
    )


def _module() -> str:
    spec = sys.modules["__main__"].__spec__
    return spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).stem


def _processor() -> str:
    try:
        info = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    found = re.search(r"model name\s*:\s*(.+)", info)
    return found[1] if found else platform.machine()
