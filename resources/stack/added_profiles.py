"""A new profile in a `stack.yaml`, written as text, so that comments stay."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from models.errors import TesseraError


def add_profile(
    file: Path, name: str, profile: Mapping[str, Any], *, comments: Sequence[str] = (), replace: bool = False
) -> None:
    """Write a profile at the end of the file's `profiles`, with a comment line for each of `comments` above it.

    Args:
        file: a stack file with at least one profile.
        name: the profile's name.
        profile: its keys.
        comments: lines without `#`.
        replace: true to put it in the place of one of that name.

    Raises:
        TesseraError: the file has no profiles, or one of that name while `replace` is false.
    """
    text = file.read_text(encoding="utf-8")
    profiles = _profiles(file, text)
    lines = text.splitlines()
    keys = {key.value: (key, value) for key, value in profiles.value}
    indent = profiles.value[0][0].start_mark.column
    if name in keys:
        if not replace:
            raise TesseraError(
                f"{file} has a profile {name!r} already.",
                expected="the name of a new profile",
                todo="Pass --name with another name, or --replace to write it anew.",
            )
        first, last = keys[name][0].start_mark.line, _end(keys[name][1], lines)
        del lines[_comments_begin(lines, first, indent) : last]
    at = _end(_profiles(file, "\n".join(lines) + "\n"), lines)
    block = [f"# {comment}" for comment in comments]
    block += yaml.safe_dump({name: dict(profile)}, sort_keys=False, width=110, allow_unicode=True).splitlines()
    lines[at:at] = ["", *(" " * indent + line for line in block)]
    _write(file, "\n".join(lines) + "\n")


def _profiles(file: Path, text: str) -> yaml.MappingNode:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    entries = root.value if isinstance(root, yaml.MappingNode) else []
    found = next((value for key, value in entries if key.value == "profiles"), None)
    if not isinstance(found, yaml.MappingNode) or not found.value or found.flow_style:
        raise TesseraError(
            f"{file} has no profiles to put another one beside.",
            expected="`profiles:` with at least one profile in lines of its own",
            todo="Start from the project's stack.yaml.",
        )
    return found


def _end(node: yaml.Node, lines: Sequence[str]) -> int:
    """Return number of the line after the node's last one.

    Its mark is after the blank lines and comments that follow.
    """
    end = node.end_mark.line
    while end > 0 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    return end


def _comments_begin(lines: Sequence[str], first: int, indent: int) -> int:
    """Line of the first comment right above a profile, written with it."""
    while first > 0 and lines[first - 1].startswith(" " * indent + "# "):
        first -= 1
    return first - 1 if first > 0 and not lines[first - 1].strip() else first


def _write(file: Path, text: str) -> None:
    beside = file.with_name(f".{file.name}.tmp")
    beside.write_text(text, encoding="utf-8")
    beside.chmod(file.stat().st_mode)
    beside.replace(file)
