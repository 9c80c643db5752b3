"""The files of a skeleton, from the templates beside this module, and the lines that other files get."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Literal

from models.errors import TesseraError
from pipelines.cli.skeleton.names import class_name

TaskKind = Literal["binary", "regression"]
_TEMPLATES = Path(__file__).parent / "templates"
#: File of the project -> its template; `binary/` or `regression/` has those that are not the same for both.
_FILES = {
    "models/features/{app}_definitions.py": "definitions.py",
    "models/features/{app}.py": "features.py",
    "assets/{app}/__init__.py": "package.py",
    "assets/{app}/app.py": "app.py",
    "assets/{app}/assets.py": "assets.py",
    "pipelines/{app}.py": "pipeline.py",
    "tests/apps/{app}/test_{app}.py": "tests.py",
}
SETTINGS, APPS = "models/settings.py", "assets/apps.py"
_TITLES: Mapping[TaskKind, str] = {
    "binary": "Customers who buy again in the next 28 days: a nightly probability for each active customer.",
    "regression": "Order lines of each product in the next 28 days, with an 80 % interval.",
}
_IMPORTS = re.compile(r"(?:^ *from \S+ import .*\n)+", re.MULTILINE)
_LINE_LENGTH = 120


def new_files(app: str, task: TaskKind) -> dict[str, str]:
    """Return path -> text of each file that belongs to the application alone."""
    return {path.format(app=app): _rendered(template, app, task) for path, template in _FILES.items()}


def changed_files(app: str, task: TaskKind, clone: Path) -> dict[str, str]:
    """Return path -> new text of each file that names all applications.

    Raises:
        TesseraError: a file is not as `tessera new` knows it.
    """
    settings, apps = (_source(clone, path) for path in (SETTINGS, APPS))
    found = {SETTINGS: _with_settings(settings, app, _rendered("settings.py", app, task)), APPS: _with_app(apps, app)}
    for path, text in found.items():
        doubled = [name for name, times in Counter(_names(text)).items() if times > 1]
        if doubled:
            raise TesseraError(
                f"An application cannot be called {app!r}: {path} has a {doubled[0]!r} already.",
                expected="a name of its own",
                todo="Choose another name.",
            )
    return found


def _rendered(template: str, app: str, task: TaskKind) -> str:
    file = next(
        found for found in (_TEMPLATES / f"{template}.tmpl", _TEMPLATES / task / f"{template}.tmpl") if found.exists()
    )
    words = app.replace("_", " ").capitalize()
    names = {"app": app, "APP": app.upper(), "App": class_name(app), "words": words, "title": _TITLES[task]}
    return _sorted_imports(Template(file.read_text(encoding="utf-8")).substitute(names))


def _sorted_imports(text: str) -> str:
    """Return the text with neighbouring imports in the order of their modules: the place of a new one depends on it."""
    return _IMPORTS.sub(lambda block: "".join(sorted(block[0].splitlines(keepends=True), key=_module)), text)


def _module(line: str) -> list[tuple[int, int]]:
    """Return the key by which imports are sorted: digits count as numbers, so that `x9` comes before `x10`."""
    parts: list[str] = re.findall(r"\d+|\D", line.split()[1])
    return [(ord("0"), int(part)) if part.isdigit() else (ord(part), 0) for part in parts]


def _source(clone: Path, path: str) -> str:
    try:
        text = (clone / path).read_text(encoding="utf-8")
        ast.parse(text)
    except (OSError, ValueError, SyntaxError) as error:
        raise _unknown(path, f"it cannot be read ({error})") from None
    return text


def _with_settings(text: str, app: str, settings: str) -> str:
    """Return `models/settings.py` with the class of settings, and the field of `Settings`."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and node.name == "Settings":
            lines = text.splitlines(keepends=True)
            fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]  # methods may follow them
            end, first = (fields[-1] if fields else node).end_lineno or 0, node.lineno - 1
            field = f"    {app}: {class_name(app)}Settings = {class_name(app)}Settings()\n"
            return "".join([*lines[:first], settings, "\n\n", *lines[first:end], field, *lines[end:]])
    raise _unknown(SETTINGS, "it has no class `Settings`")


def _with_app(text: str, app: str) -> str:
    """Return `assets/apps.py` with the import of the record, and its entry in `APPS`."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "APPS" and isinstance(node.value, ast.Tuple):
            lines = text.splitlines(keepends=True)
            names = [*(ast.unparse(one) for one in node.value.elts), app.upper()]
            start = f"APPS: {ast.unparse(node.annotation)} = ("
            entry = f"{start}{', '.join(names)})\n"
            if len(entry) > _LINE_LENGTH + 1:
                entry = f"{start}\n{''.join(f'    {name},{chr(10)}' for name in names)})\n"
            changed = "".join([*lines[: node.lineno - 1], entry, *lines[node.end_lineno :]])
            return _with_import(changed, f"from assets.{app}.app import {app.upper()}\n")
    raise _unknown(APPS, "it has no tuple `APPS`")


def _with_import(text: str, line: str) -> str:
    block = next((found for found in _IMPORTS.finditer(text) if "from assets." in found[0]), None)
    if block is None:
        raise _unknown(APPS, "it imports no application")
    return text[: block.start()] + _sorted_imports(block[0] + line) + text[block.end() :]


def _names(text: str) -> Iterator[str]:
    """Yield every name that a module, or its class `Settings`, defines or imports."""
    for node in ast.parse(text).body:
        match node:
            case ast.ImportFrom() | ast.Import():
                yield from (one.asname or one.name for one in node.names)
            case ast.ClassDef(name="Settings"):
                yield node.name
                yield from (
                    f"Settings.{ast.unparse(one.target)}" for one in node.body if isinstance(one, ast.AnnAssign)
                )
            case ast.ClassDef() | ast.FunctionDef():
                yield node.name
            case ast.Assign():
                yield from (ast.unparse(one) for one in node.targets)
            case ast.AnnAssign():
                yield ast.unparse(node.target)
            case _:
                pass


def _unknown(path: str, why: str) -> TesseraError:
    return TesseraError(
        f"{path} is not as `tessera new` knows it: {why}.",
        expected="the file as the project has it",
        todo="Correct it, or add the application by hand: docs/new-application.md.",
    )
