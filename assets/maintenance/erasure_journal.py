"""Records of erasures: a journal while one is in progress, `<name>.json` and `<name>.md` when it is done."""

import os
from datetime import UTC, datetime
from pathlib import Path

from models.erasure.record import Erasure


class ErasureJournal:
    """The records in one folder. A journal that is there when an erasure begins is one that was interrupted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, entity: str, digest: str, *, who: str, why: str) -> Erasure:
        """Return the record to go on with: that of an interrupted erasure of the same entity, or a new one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(self._folder.glob(f"*-{digest[:12]}.journal")):
            record = Erasure.model_validate_json(file.read_text())
            if (record.entity, record.digest) == (entity, digest):
                record.interrupted += 1
                record.uncounted = sorted({*record.uncounted, record.doing} - {""})
                self.save(record)
                return record
        record = Erasure(entity=entity, digest=digest, started_at=datetime.now(UTC), who=who, why=why)
        self.save(record)
        return record

    def save(self, record: Erasure) -> None:
        """Write the record to the journal, safe against a power failure."""
        self._write(f"{record.name}.journal", record.model_dump_json(indent=2))

    def finish(self, record: Erasure) -> Path:
        """Return the proof's JSON file; beside it is the page for people, and the journal is gone."""
        record.finished_at = datetime.now(UTC)
        self._write(f"{record.name}.md", record.markdown())
        proof = self._write(f"{record.name}.json", record.model_dump_json(indent=2) + "\n")
        (self._folder / f"{record.name}.journal").unlink()
        return proof

    def earlier(self, digest: str) -> list[Path]:
        """Return the proofs of earlier erasures of the same entity, oldest first."""
        return sorted(self._folder.glob(f"*-{digest[:12]}.json"))

    def _write(self, name: str, text: str) -> Path:
        file, part = self._folder / name, self._folder / f"{name}.part"
        with part.open("w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
        return file
