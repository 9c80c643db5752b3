"""Delta's log of one table, and the manifest that it is held against and restored from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow.fs as pa_fs
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, create_table_with_add_actions

from models.errors import TesseraError
from resources.durability import replace_durably, sync_all
from resources.lake.manifest import NAME, Manifest, manifest_of, read_manifest
from resources.lake.open_tables import LOG, OpenTable, OpenTables, Read
from resources.lake.transactions import added

#: A checkpoint each 20 commits keeps opening a table cheap; with it, log entries older than 30 days are removed. When a
#: file was removed from the table must be remembered as long, else `vacuum` takes files of versions that can be read.
_TABLE_SETTINGS = {
    "delta.checkpointInterval": "20",
    "delta.logRetentionDuration": "interval 30 days",
    "delta.deletedFileRetentionDuration": "interval 30 days",
}
#: Shared by all lakes of this process: each step of a run opens the lake anew.
_OPEN = OpenTables()


class TableLog:
    """Opens a table, and makes its versions durable. Callers that write hold the table's lock.

    Args:
        uri: the table's folder or address.
        files: the files in it.
        options: those of deltalake.
        is_local: on this machine's disk; other stores are durable by themselves.
    """

    def __init__(self, uri: str, files: pa_fs.FileSystem, options: Mapping[str, str], *, is_local: bool) -> None:
        self._uri, self._files, self._options, self._is_local = uri, files, dict(options), is_local

    def shared(self) -> Read:
        """Return what `read` does; other readers of this process have it too: it is never to be updated."""
        return _OPEN.of(Path(self._uri), self.read) if self._is_local else self.read()

    def read(self) -> Read:
        """Return the version that the log records, None if it records none, and whether the manifest agrees."""
        manifest = self._manifest()
        if self._is_local and not (Path(self._uri) / LOG).is_dir():
            return None, manifest is None
        try:
            standing = self._opened()
            return standing, manifest is None or _agrees(standing.manifest, manifest)
        except TableNotFoundError:
            return None, manifest is None
        except (DeltaError, OSError, ValueError):
            return None, False

    def restored(self) -> OpenTable | None:
        """Return the table, after a log that lost something was made again from the manifest.

        Killed in between, there is a manifest without a log: the next reader makes it again.

        Raises:
            TesseraError: neither the log nor the manifest can be read.
        """
        standing, is_whole = self.read()
        if is_whole:  # a writer was between its commit and its manifest
            return standing
        manifest = self._manifest()
        if manifest is None:
            raise self._lost()
        if self._files.get_file_info(LOG).type == pa_fs.FileType.Directory:
            self._files.delete_dir(LOG)
        listed = sorted(manifest.files.items())
        actions = [added(path, file.size, file.rows, file.day, manifest.by) for path, file in listed]
        return self.create(Schema.from_json(manifest.schema), manifest.by, actions)

    def create(self, schema: Schema, by: str, actions: Sequence[AddAction]) -> OpenTable:
        """Return a log whose first version holds these files."""
        create_table_with_add_actions(
            self._uri,
            schema,
            list(actions),
            partition_by=[by],
            configuration=_TABLE_SETTINGS,
            storage_options=self._options,
        )
        standing = self._opened()
        self.settle(standing)
        return standing

    def sync(self, paths: Iterable[str]) -> None:
        """Make data files durable; before a commit names them."""
        files = [Path(self._uri) / path for path in paths]
        if self._is_local and files:
            sync_all(files, Path(self._uri))

    def _opened(self) -> OpenTable:
        delta = DeltaTable(self._uri, storage_options=self._options)
        return OpenTable(delta, manifest_of(delta))

    def settle(self, standing: OpenTable) -> None:
        """Make the open version durable, keep its files in the manifest, and the table open for readers.

        The caller no longer updates it.
        """
        now = standing.manifest
        if now != self._manifest():  # a manifest is written after the log that it agrees with is durable
            if self._is_local:
                log = Path(self._uri) / LOG
                sync_all([entry for entry in [log / f"{now.version:020d}.json"] if entry.exists()], log)
            self._write(now.content())
        if self._is_local:
            _OPEN.keep(Path(self._uri), standing)

    def settle_update(self, updated: DeltaTable) -> None:
        """Do the same for a table that a commit has moved to its next version."""
        self.settle(OpenTable(updated, manifest_of(updated)))

    def forget(self) -> None:
        """Remove the manifest: the table is about to be removed."""
        if self._files.get_file_info(NAME).type == pa_fs.FileType.File:
            self._files.delete_file(NAME)

    def _manifest(self) -> Manifest | None:
        try:
            with self._files.open_input_stream(NAME) as stream:
                return read_manifest(stream.read())
        except OSError:
            return None

    def _write(self, content: bytes) -> None:
        if self._is_local:
            replace_durably(Path(self._uri) / NAME, content)
            return
        with self._files.open_output_stream(NAME) as stream:
            stream.write(content)

    def _lost(self) -> TesseraError:
        return TesseraError(
            f"The log of the table {self._uri} is damaged, and so is its manifest.",
            expected="one of the two as it was written",
            todo="Restore the folder from a backup, or remove it and run the job that writes it.",
        )


def _agrees(logged: Manifest, manifest: Manifest) -> bool:
    """Return True if the log knows at least what the manifest knows: a writer may have died between writing the two."""
    return logged.version > manifest.version or logged == manifest
