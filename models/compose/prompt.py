"""A prompt as a part of a composition: named, kept in its package, and known by its digest."""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.errors import TesseraError, choose_from

#: Folder of a package that holds the prompts; no part may be called so.
FOLDER = "prompts"
_NEED = "prompt:"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Prompt:
    """A text that a language model is given.

    A part that lists `Prompt.need(name)` among its `needs` is given the prompt when it is read.

    Attributes:
        name: of the prompt in its composition: lower-case letters, digits and `_`.
        text: of the prompt, kept to the byte.
    """

    name: str
    text: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or not self.text.strip():
            raise TesseraError(
                f"{self.name!r} is no name of a prompt, or its text is empty.",
                expected="a lower-case letter, then letters, digits and `_`, at most 40; and a text",
                todo="Correct the prompt.",
            )

    @property
    def digest(self) -> str:
        """SHA-256 of the text, hexadecimal: a part of the version of a step that is cached."""
        return hashlib.sha256(self._content).hexdigest()

    @staticmethod
    def need(name: str) -> str:
        """Return the entry for `needs` of a part that takes this prompt."""
        return _NEED + name

    @property
    def _content(self) -> bytes:
        return self.text.encode("utf-8", "surrogatepass")

    def save(self, folder: Path) -> None:
        """Write it to a package."""
        (folder / FOLDER).mkdir(exist_ok=True)
        (folder / FOLDER / f"{self.name}.md").write_bytes(self._content)

    @classmethod
    def read(cls, folder: Path, name: str) -> "Prompt":
        """Read it from a package."""
        return cls(name, (folder / FOLDER / f"{name}.md").read_bytes().decode("utf-8", "surrogatepass"))


def by_need(prompts: Mapping[str, Prompt]) -> dict[str, Prompt]:
    """Return the prompts as parts are given them: need -> prompt."""
    return {Prompt.need(name): prompt for name, prompt in prompts.items()}


def require_prompts(prompts: Mapping[str, Prompt], needs: Iterable[str], parts: Collection[str]) -> None:
    """Check the prompts of a composition against its parts.

    Raises:
        TesseraError: a part needs a prompt that is not there, no part needs one that is, or a name is taken.
    """
    needed = {need.removeprefix(_NEED) for need in needs if need.startswith(_NEED)}
    for name in sorted(needed ^ prompts.keys()):
        what = "A part needs the prompt" if name in needed else "No part needs the prompt"
        raise TesseraError(
            f"{what} {name!r}.",
            expected=choose_from(name, prompts if name in needed else needed),
            todo="Name it in `prompts` of the composition and, as `Prompt.need(name)`, in `needs` of a part.",
        )
    wrong = [name for name, prompt in prompts.items() if prompt.name != name]
    if wrong or (prompts and FOLDER in parts):
        raise TesseraError(
            f"The prompt {wrong[0]!r} has another name." if wrong else f"A part is called {FOLDER!r}.",
            expected=f"prompts by their names, and no part called {FOLDER!r}",
            todo="Rename it.",
        )
