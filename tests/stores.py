"""The embedded stores of a home in a folder, as tests and benchmarks open them: no MLflow, no Dagster."""

from pathlib import Path

from resources.lake.delta import DeltaLake
from resources.notifier.log import LogNotifier
from resources.registry.fake import FolderRegistry
from resources.sink.delta import DeltaSinkConfig
from resources.sink.port import Sink


class FolderStores:
    """Stores in the folder of a home."""

    folder: Path

    @property
    def lake(self) -> DeltaLake:
        """Tables."""
        return DeltaLake(str(self.folder / "lake"))

    @property
    def registry(self) -> FolderRegistry:
        """Versions and the champion."""
        return FolderRegistry(self.folder / "models")

    @property
    def sink(self) -> Sink:
        """Published rows."""
        return DeltaSinkConfig(path=str(self.folder / "scores")).open()

    @property
    def notifier(self) -> LogNotifier:
        """Notices, in a file."""
        return LogNotifier(self.folder / "notices.jsonl")
