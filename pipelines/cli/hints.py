"""Commands that are printed as hints: they work as printed, in the same stack, profile and home as this command."""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

#: They choose stack file, profile and home; a command that is repeated without them works somewhere else.
_ENVIRONMENT = ("TESSERA_STACK", "TESSERA_PROFILE", "TESSERA_HOME")
_COMMAND = re.compile(r"`tessera (?=[a-z])")


def given_environment() -> list[str]:
    """Return what chose stack file, profile and home of this command, as a shell takes it: `TESSERA_HOME=/data`."""
    return [f"{name}={shlex.quote(os.environ[name])}" for name in _ENVIRONMENT if os.environ.get(name)]


def runnable(text: str) -> str:
    """`text`, each command in it (`tessera ...` in backticks) with the environment and the program of this one."""
    words = [*given_environment(), _program()]
    return _COMMAND.sub(lambda _: f"`{' '.join(words)} ", text)


def _program() -> str:
    """Return the program as it was called, where the shell would not find it by its name."""
    called = Path(sys.argv[0])
    if called.name != "tessera" or called.parent == Path() or not called.is_file():
        return "tessera"
    found = shutil.which("tessera")
    return "tessera" if found and Path(found).samefile(called) else shlex.quote(sys.argv[0])
