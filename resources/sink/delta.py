"""The setting of the Delta sink; the sink itself is a module apart, so that workers need no Dagster to write scores."""

from typing import Literal

import dagster as dg
from pydantic import ConfigDict, Field

from resources.sink.delta_sink import DeltaSink


class DeltaSinkConfig(dg.Config):
    """Scores in Delta format in a local folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["delta"] = "delta"
    path: str = Field(description="Folder that holds a table and a history for each application.")
    rows_per_file: int = Field(default=5_000_000, ge=1, description="A longer attempt is split into several files.")
    lock_timeout_seconds: float = Field(
        default=600, gt=0, description="A writer waits this long for another one of the same application."
    )

    def open(self) -> DeltaSink:
        """Return the sink; nothing is read or written yet."""
        return DeltaSink(self.path, rows_per_file=self.rows_per_file, lock_timeout_seconds=self.lock_timeout_seconds)
