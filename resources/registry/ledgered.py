"""Base of every registry adapter: the ledger decides on the champion, and the alias follows it."""

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from filelock import BaseFileLock, FileLock, Timeout
from typing_extensions import override

from models.errors import TesseraError
from models.gate_verdict import GateVerdict
from models.ledger import Action, LedgerEntry, next_moment, refusal
from models.training.package_files import package_digest
from resources.registry.ledger_file import LedgerFile
from resources.registry.package_cache import PackageCache
from resources.registry.port import Registry
from resources.registry.verdict_file import read_verdict, write_verdict


class LedgeredRegistry(Registry):
    """Champion, ledger, lock and cache in one local folder; where versions live is up to the adapter.

    Who is champion is read from the ledger alone. The adapter's alias is for people who look at the store: it is
    brought in line with the ledger before and after every change, so a crash between the two leaves nothing behind.
    """

    def __init__(self, folder: Path, *, lock_timeout_seconds: float) -> None:
        self._folder = folder
        self._lock_timeout_seconds = lock_timeout_seconds
        self._cache = PackageCache(folder / "cache")

    @abstractmethod
    def _registered_files(self, app: str, version: str) -> Mapping[str, str]:
        """Path to sha256 of each file of the package.

        Raises:
            TesseraError: no such version.
        """

    @abstractmethod
    def _tags(self, app: str, version: str) -> Mapping[str, str]:
        """Return the tags given to `register`.

        Raises:
            TesseraError: no such version.
        """

    @abstractmethod
    def _download(self, app: str, version: str, folder: Path) -> None:
        """Download the package's files to `folder`, unchecked."""

    @abstractmethod
    def _follow(self, app: str, ledger: Sequence[LedgerEntry], head: str) -> None:
        """Point the alias at the ledger's champion. `head` is the digest of the ledger's last line, stored with it.

        Raises:
            TesseraError: the stored head is neither `head` nor the one before: the ledger lost or changed a line.
        """

    @override
    def champion(self, app: str) -> str | None:
        ledger = self.ledger(app)
        return ledger[-1].to_version if ledger else None

    @override
    def ledger(self, app: str) -> Sequence[LedgerEntry]:
        return self._ledger_file(app).entries()

    @override
    def fetch(self, app: str, version: str) -> Path:
        promised = self._promised_digest(app, version)
        cached = self._cache.find(promised) if promised else None
        if cached is not None:
            return cached
        files = self._files_as_promised(app, version, promised)
        return self._cache.find(package_digest(files)) or self._cache.add(
            files, lambda to: self._download(app, version, to), _broken_version(app, version)
        )

    @override
    def fetch_anew(self, app: str, version: str) -> Path:
        files = self._files_as_promised(app, version, self._promised_digest(app, version))
        return self._cache.renew(files, lambda to: self._download(app, version, to), _broken_version(app, version))

    def _files_as_promised(self, app: str, version: str, promised: str | None) -> Mapping[str, str]:
        """Return the registered files and their sums; raises TesseraError if they are not those of the ledger."""
        files = self._registered_files(app, version)
        if promised not in (None, package_digest(files)):
            raise TesseraError(
                f"The sha256 tags of version {version} of {app} were changed after it became champion.",
                expected=f"the package {promised} of the ledger",
                todo="Do not use this version; find out who changed it, and roll back to another one.",
            )
        return files

    @override
    def set_champion(
        self,
        app: str,
        version: str | None,
        *,
        action: str,
        why: str,
        who: str,
        run_id: str,
        metrics: Mapping[str, float],
        even_if_refused: bool = False,
        judged: str | None = None,
    ) -> LedgerEntry:
        with self.lock(app):
            ledger = self.ledger(app)
            self._catch_up(app)
            package = "" if version is None else package_digest(self._registered_files(app, version))
            current = ledger[-1].to_version if ledger else None
            if version == current:
                return _standing(app, ledger)
            gate = "" if version is None else self._tags(app, version).get("gate", "")
            refused = "" if version is None else refusal(ledger, version, action=action, gate=gate)
            if refused and not (even_if_refused and why.strip()):
                raise _refused(app, version, action, refused, even_if_refused)
            if version is not None:
                self.fetch_anew(app, version)
            entry = LedgerEntry(
                app=app,
                at=next_moment(ledger, datetime.now(UTC)),
                action=cast(Action, action),
                from_version=current,
                to_version=version,
                why=why,
                who=who,
                run_id=run_id,
                metrics=dict(metrics),
                package=package,
                gate=gate,
                refusal=refused,
                judged=judged,
                previous=self._ledger_file(app).head(),
            )
            self._ledger_file(app).append(entry)
            self._catch_up(app)
            return entry

    @override
    def record_verdict(self, verdict: GateVerdict) -> None:
        write_verdict(self._verdict_path(verdict.app), verdict)

    @override
    def last_verdict(self, app: str) -> GateVerdict | None:
        return read_verdict(self._verdict_path(app))

    @override
    @contextmanager
    def lock(self, app: str) -> Iterator[None]:
        with self._held(f"{_checked_name(app)}.lock"):
            yield

    @contextmanager
    def _held(self, name: str) -> Iterator[None]:
        """Provide the named lock, which one thread may take again. It frees itself when its process dies."""
        lock = self._lock_of(name)
        try:
            lock.acquire(timeout=self._lock_timeout_seconds)
        except Timeout:
            raise TesseraError(
                f"Another process holds {lock.lock_file} for more than {self._lock_timeout_seconds:g} s.",
                expected="a promotion or registration to take seconds",
                todo="Wait for the run that trains or promotes, or stop it; the lock frees itself when it ends.",
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _lock_of(self, name: str) -> BaseFileLock:
        """One lock object per file and process, so that two registries on one folder do not wait for each other."""
        path = self._folder / "locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path, is_singleton=True)

    def _catch_up(self, app: str) -> None:
        """Complete a promotion that a crash interrupted: point the alias at the ledger's champion. Needs the lock."""
        file = self._ledger_file(app)
        self._follow(app, file.entries(), file.head())

    def _catch_up_if_free(self, app: str) -> None:
        """Catch up as `_catch_up`, unless a promotion holds the lock: it will catch up itself."""
        lock = self._lock_of(f"{_checked_name(app)}.lock")
        with suppress(Timeout), lock.acquire(timeout=0):
            self._catch_up(app)

    def _promised_digest(self, app: str, version: str) -> str | None:
        """Return the package digest with which `version` last became champion, None if it never did."""
        digests = [entry.package for entry in self.ledger(app) if entry.to_version == version]
        return digests[-1] if digests else None

    def _verdict_path(self, app: str) -> Path:
        return self._folder / "verdicts" / f"{_checked_name(app)}.json"

    def _ledger_file(self, app: str) -> LedgerFile:
        path = self._folder / "ledger" / f"{_checked_name(app)}.jsonl"
        return LedgerFile(path, lambda: self.lock(app))


def _refused(app: str, version: str | None, action: str, reason: str, insists: bool) -> TesseraError:
    if insists:
        return TesseraError(
            f"No reason is given for promoting version {version} of {app} although {reason}.",
            expected="a sentence that the ledger keeps and every card shows",
            todo='Add `--why "..."`.',
        )
    command = f"tessera rollback {app} --to" if action == "rollback" else f"tessera promote {app} --version"
    return TesseraError(
        f"Version {version} of {app} is not promoted: {reason}.",
        expected="a version that passed the gate" + (" and was champion before" if action == "rollback" else ""),
        todo=f'See `tessera models {app}`; to insist: `{command} {version} --even-if-refused --why "..."`.',
    )


def _broken_version(app: str, version: str) -> str:
    return f"Do not use version {version} of {app}: roll back to another one, or restore its artifacts."


def _standing(app: str, ledger: Sequence[LedgerEntry]) -> LedgerEntry:
    if not ledger:
        raise TesseraError(
            f"{app} has no champion to retire.", expected="a champion", todo=f"See `tessera models {app}`."
        )
    return ledger[-1]


def _checked_name(app: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", app):
        raise TesseraError(
            f"{app!r} cannot be the name of an application.",
            expected="a letter, then letters, digits, - and _",
            todo="Correct the name.",
        )
    return app
