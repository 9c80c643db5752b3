"""Packages that were fetched before, by their digest, checked each time they are used."""

import json
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from models.errors import TesseraError
from models.training.package_files import package_digest, verify


class PackageCache:
    """One folder per package digest, and beside it the list of its files: `<digest>` and `<digest>.json`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, digest: str) -> Path | None:
        """Return the package's folder, every file checked; None when it is not here.

        Raises:
            TesseraError: the list or a file was changed, which is named.
        """
        package = self._folder / digest
        if not package.exists():
            return None
        listed = self._folder / f"{digest}.json"
        todo = f"Delete {package}; it is then fetched again from the registry."
        files = _read_list(listed)
        if package_digest(files) != digest:
            raise TesseraError(f"{listed} was changed.", expected="the list that gives the package its name", todo=todo)
        verify(package, files, todo)
        return package

    def add(self, files: Mapping[str, str], download: Callable[[Path], None], todo: str) -> Path:
        """Return the package's folder, after `download` filled it and every file proved to be the registered one.

        Raises:
            TesseraError: a downloaded file is not the registered one; nothing is kept, and `todo` says what helps.
        """
        return self._downloaded(files, download, todo, self._move)

    def renew(self, files: Mapping[str, str], download: Callable[[Path], None], todo: str) -> Path:
        """Return the same, downloaded even if the package is here already, and put in its place if that was changed.

        Raises:
            TesseraError: as for `add`; what is here stays.
        """
        return self._downloaded(files, download, todo, self._replace)

    def _downloaded(
        self,
        files: Mapping[str, str],
        download: Callable[[Path], None],
        todo: str,
        move: Callable[[Path, Path], None],
    ) -> Path:
        digest = package_digest(files)
        partial = self._folder / f".partial-{uuid.uuid4().hex}"
        partial.mkdir(parents=True)
        try:
            download(partial)
            verify(partial, files, todo)
            listed = partial.with_suffix(".json")
            listed.write_text(json.dumps(dict(files), indent=1))
            listed.replace(self._folder / f"{digest}.json")
            move(partial, self._folder / digest)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return self._folder / digest

    def _replace(self, partial: Path, package: Path) -> None:
        """Replace a cached package unless it is intact: other processes may be reading it."""
        try:
            if self.find(package.name) is not None:
                return
        except TesseraError:
            package.rename(partial.with_suffix(".changed"))
            shutil.rmtree(partial.with_suffix(".changed"))
        self._move(partial, package)

    def _move(self, partial: Path, package: Path) -> None:
        try:
            partial.rename(package)
        except OSError:  # another process was faster: its copy is as good, if it is the same
            if self.find(package.name) is None:
                raise


def _read_list(listed: Path) -> dict[str, str]:
    """Return the files of a package by the list beside it; empty when there is none that can be read."""
    try:
        return {str(name): str(digest) for name, digest in json.loads(listed.read_bytes()).items()}
    except (FileNotFoundError, ValueError, AttributeError):
        return {}
