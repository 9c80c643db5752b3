"""A source that keeps a run in its first step: `source: {kind: waiting_source.WaitingSourceConfig}`."""

import os
import time
from datetime import date
from pathlib import Path
from typing import Literal

import dagster as dg
import pyarrow as pa
from typing_extensions import override

from resources.health import Health
from resources.source.port import Source


class WaitingSource(Source):
    """Delivers orders, after an hour; the file `WAITING_MARK` says that somebody waits."""

    @override
    def tables(self) -> frozenset[str]:
        return frozenset({"orders"})

    @override
    def first_day(self) -> date:
        return date(2025, 1, 1)

    @override
    def read(self, table: str, first: date, last: date) -> pa.RecordBatchReader:
        Path(os.environ["WAITING_MARK"]).touch()
        time.sleep(3600)
        raise AssertionError("nobody waits that long")

    @override
    def check(self) -> Health:
        return Health(True, "waits")


class WaitingSourceConfig(dg.Config):
    kind: Literal["waiting_source.WaitingSourceConfig"] = "waiting_source.WaitingSourceConfig"

    def open(self) -> Source:
        return WaitingSource()
