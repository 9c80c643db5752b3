"""The registry port: model versions and the champion of each application."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from models.gate_verdict import GateVerdict
from models.ledger import LedgerEntry
from resources.health import Health


@dataclass(frozen=True)
class VersionInfo:
    """One model version as the registry knows it. `created_at` is ISO 8601, UTC."""

    version: str
    created_at: str
    champion: bool
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


class Registry(ABC):
    """Immutable model versions, one champion per application, and an append-only ledger of every change of it."""

    #: Packages of third parties whose models may be loaded, as the profile names them.
    trusted_packages: Sequence[str] = ()

    @abstractmethod
    def register(
        self,
        app: str,
        package: Path,
        *,
        parameters: Mapping[str, str],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        report: str,
    ) -> str:
        """Return the new version's number: 1, 2, 3, ... of the application.

        `package` is a folder of `models.training.model_package.save`; every file is stored with its sha256. `report` is
        the gate report (markdown), stored beside it.
        """

    @abstractmethod
    def fetch(self, app: str, version: str) -> Path:
        """Return a local folder with the package of that version.

        Raises:
            TesseraError: no such version, or a file's sha256 is not the registered one.
        """

    def fetch_anew(self, app: str, version: str) -> Path:
        """Return the same as `fetch`, handed out by the registry itself: an adapter with a cache must override it.

        A version is promoted only after it was fetched this way: an intact copy must not hide that the registry's
        own is broken.

        Raises:
            TesseraError: as for `fetch`.
        """
        return self.fetch(app, version)

    def retag(self, app: str, version: str, tags: Mapping[str, str]) -> bool:  # noqa: ARG002 - the interface has it
        """Return True after these tags of a version, and no others, have these values.

        False where tags cannot be changed.

        Raises:
            TesseraError: no such version.
        """
        return False

    @abstractmethod
    def versions(self, app: str) -> Sequence[VersionInfo]:
        """All versions, newest first; tags are those given to `register`."""

    @abstractmethod
    def champion(self, app: str) -> str | None:
        """Return the champion by the ledger, or None. Cheap: nothing but the ledger is read.

        Raises:
            TesseraError: the ledger was changed.
        """

    @abstractmethod
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
        """Return the ledger's new entry, after `version` was promoted; the newest entry if it is the champion already.

        Ledger first, alias second: what a crash between the two left is completed by the next call that asks the
        registry itself (any but `champion` and `ledger`, which the crash cannot make wrong).

        Args:
            app: the application.
            version: None retires the champion, so that there is no champion.
            action: `promote`, `rollback` or `retire`.
            why: one sentence.
            who: the person, or the job.
            run_id: the Dagster run, if any.
            metrics: the numbers that decided.
            even_if_refused: a person insists on a version that the gate stopped, or on a rollback to one that never
                was champion; the ledger keeps both `why` and what was overruled.
            judged: the version that the gate evaluated, where `version` is its refit; the ledger keeps it.

        Raises:
            TesseraError: no such version, one that is refused (or insisted on without a `why`), one whose files are not
                the registered ones, nothing to retire, or a ledger that was changed; nothing is written.
        """

    @abstractmethod
    def ledger(self, app: str) -> Sequence[LedgerEntry]:
        """Every change of the champion, oldest first.

        Raises:
            TesseraError: a line was changed, removed or inserted; its number is named.
        """

    @abstractmethod
    def record_verdict(self, verdict: GateVerdict) -> None:
        """Keep the gate's verdict as the last one of its application; the caller holds the lock.

        Raises:
            TesseraError: it cannot be written.
        """

    @abstractmethod
    def last_verdict(self, app: str) -> GateVerdict | None:
        """Return the last verdict that was recorded, None before the first. Cheap: most nights ask for it.

        Raises:
            TesseraError: what is kept is no verdict.
        """

    @abstractmethod
    def lock(self, app: str) -> AbstractContextManager[None]:
        """Held while the champion is decided on: decide and move are one step for all others. Re-entrant."""

    def damage(self) -> str:
        """Return what is wrong with the store of the versions, in a sentence; empty if nothing is known to be.

        Cheap, for every night: a champion whose package is in a cache is served without the store, so that damage
        would show only when another version is needed. `check` asks more.
        """
        return ""

    @abstractmethod
    def check(self) -> Health:
        """Report if the registry responds right now."""
