"""A registry of plain folders for tests: no MLflow to import, the same rules."""

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import Field
from typing_extensions import override

from models.errors import TesseraError, choose_from
from models.ledger import LedgerEntry
from models.training.package_files import safe_files
from resources.health import Health
from resources.registry.ledgered import LedgeredRegistry
from resources.registry.port import VersionInfo


class FolderRegistryConfig(dg.Config):
    """A registry of plain folders, named by this class's dotted path in a profile."""

    kind: Literal["folders"] = "folders"
    path: str = Field(description="Folder of versions, ledger, locks and cache.")
    trusted_packages: list[str] = Field(
        default=[], description="Python packages of third parties whose models may be loaded."
    )

    def open(self) -> "FolderRegistry":
        """Return the registry."""
        registry = FolderRegistry(Path(self.path))
        registry.trusted_packages = tuple(self.trusted_packages)
        return registry


class FolderRegistry(LedgeredRegistry):
    """`<folder>/<app>/<version>/`: `package/`, `report.md` and `record.json`; `<app>/champion.json` is the alias."""

    def __init__(self, folder: Path, *, lock_timeout_seconds: float = 60) -> None:
        super().__init__(folder, lock_timeout_seconds=lock_timeout_seconds)

    @override
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
        files = safe_files(package, self.trusted_packages)
        created = datetime.now(UTC).isoformat()
        record = {"files": files, "parameters": dict(parameters), "metrics": dict(metrics), "tags": dict(tags)}
        self._catch_up_if_free(app)
        with self._held(f"{app}.register.lock"):
            version = str(max((int(known) for known in self._records(app)), default=0) + 1)
            partial = self._folder / app / f".partial-{uuid.uuid4().hex}"
            shutil.copytree(package, partial / "package")
            (partial / "report.md").write_text(report)
            (partial / "record.json").write_text(json.dumps({**record, "created_at": created}))
            partial.rename(self._folder / app / version)
        return version

    @override
    def versions(self, app: str) -> Sequence[VersionInfo]:
        self._catch_up_if_free(app)
        champion = self.champion(app)
        records = self._records(app)
        return [
            VersionInfo(name, record["created_at"], name == champion, record["metrics"], record["tags"])
            for name, record in sorted(records.items(), key=lambda item: int(item[0]), reverse=True)
        ]

    @override
    def retag(self, app: str, version: str, tags: Mapping[str, str]) -> bool:
        with self._held(f"{app}.register.lock"):
            record = self._record(app, version)
            changed = self._folder / app / version / "record.partial"
            changed.write_text(json.dumps({**record, "tags": {**record["tags"], **tags}}))
            changed.replace(self._folder / app / version / "record.json")
        return True

    @override
    def check(self) -> Health:
        return Health(True, f"folders under {self._folder}")

    @override
    def _registered_files(self, app: str, version: str) -> Mapping[str, str]:
        return self._record(app, version)["files"]

    @override
    def _tags(self, app: str, version: str) -> Mapping[str, str]:
        return self._record(app, version)["tags"]

    @override
    def _download(self, app: str, version: str, folder: Path) -> None:
        shutil.copytree(self._folder / app / version / "package", folder, dirs_exist_ok=True)

    @override
    def _follow(self, app: str, ledger: Sequence[LedgerEntry], head: str) -> None:
        alias = self._folder / app / "champion.json"
        remembered = json.loads(alias.read_text())["head"] if alias.exists() else ""
        if remembered not in (head, ledger[-1].previous if ledger else ""):
            raise TesseraError(
                f"The ledger of {app} and {alias} do not belong together.",
                expected="a ledger that only ever grew",
                todo=f"Restore {self._folder} as a whole from a backup.",
            )
        if ledger:
            moved = alias.with_suffix(".partial")
            moved.write_text(json.dumps({"head": head, "version": ledger[-1].to_version}))
            moved.replace(alias)

    def _record(self, app: str, version: str) -> dict[str, Any]:
        records = self._records(app)
        if version not in records:
            raise TesseraError(
                f"{app} has no version {version!r}.", expected=choose_from(version, records), todo="Correct it."
            )
        return records[version]

    def _records(self, app: str) -> dict[str, dict[str, Any]]:
        files = (self._folder / app).glob("[0-9]*/record.json")
        return {file.parent.name: json.loads(file.read_text()) for file in files}
