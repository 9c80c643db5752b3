"""Imports every module of the rooms anew and tells their number and what their bodies wrote, started or called.

What a third party does while it is imported is its own business: the innermost module body on the stack counts.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).resolve().parents[2])
ROOMS = ("pipelines", "assets", "resources", "feature_repo", "models")
WRITING = os.O_WRONLY | os.O_RDWR
EVENTS = {"os.mkdir", "os.remove", "os.rename", "subprocess.Popen", "socket.connect", "sqlite3.connect"}
touched: list[tuple[str, str]] = []


def ours() -> bool:
    frame = sys._getframe()
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    file = frame.f_code.co_filename if frame else ""
    return file.startswith(ROOT) and "site-packages" not in file and file != __file__


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
    if (writes or event in EVENTS) and ours():
        touched.append((event, str(arguments[0])))


def import_all(home: Path, answer: Path) -> None:
    """Write the number of imported modules and what they touched; for a process of its own (tests/fork_server.py).

    Its server has imported them already, and what they import: only the bodies of the rooms are executed again.
    """
    os.environ["TESSERA_HOME"] = str(home)
    sys.dont_write_bytecode = True  # what Python compiles is its own business, too
    files = [file.relative_to(ROOT) for room in ROOMS for file in sorted(Path(ROOT, room).rglob("*.py"))]
    names = [".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files]
    names.remove("feature_repo.feast_cli")  # made for the command `feast`, which needs a folder to stand in
    for loaded in [name for name in sys.modules if name.split(".")[0] in ROOMS]:
        del sys.modules[loaded]
    sys.addaudithook(watch)
    feast = importlib.import_module("resources.feature_store.feast.session")
    with feast.without_type_checks():  # Feast checks the types of its own functions, which takes twice as long
        for name in names:
            importlib.import_module(name)
    answer.write_text(json.dumps([len(names), touched]))
