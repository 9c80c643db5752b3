"""A home with published scores, and its service as clients see it, in this process."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import yaml

from models.publishing import Publication
from pipelines.gateway.holder import Role
from pipelines.gateway.keys import KeyFile
from pipelines.gateway.same_origin import App
from pipelines.service.build import build_service
from resources.conformance import score_sets
from resources.sink.port import ErasableSink
from resources.stack.loader import ROOT, Stack, load_stack

DAY = score_sets.DAY


@dataclass
class ServiceWorld:
    """One service, asked by one client.

    Attributes:
        home: of the profile.
        settings: those of `settings.service`, over defaults that look at once.
        ports: adapters in place of those of the profile `local`.
    """

    home: Path
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ports: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @cached_property
    def stack(self) -> Stack:
        document = yaml.safe_load((ROOT / "stack.yaml").read_text())
        document["profiles"]["local"]["ports"] |= self.ports
        file = self.home.with_suffix(".yaml")
        file.write_text(yaml.safe_dump(document))
        found = load_stack(file, "local", str(self.home), os.environ)
        limits = found.settings.service.model_copy(update={"look_seconds": 0.0, **self.settings})
        found.settings = found.settings.model_copy(update={"service": limits})
        return found

    @cached_property
    def sink(self) -> ErasableSink:
        return self.stack.open("sink")

    @cached_property
    def app(self) -> App:
        return build_service(self.stack)

    def publish(self, rows: pa.Table | None = None, day: date = DAY) -> Publication:
        """Publish rows of churn."""
        given = score_sets.some_rows(3) if rows is None else rows
        attempt = score_sets.digest(given)[:16]
        self.sink.write_attempt("churn", day, attempt, score_sets.reader(given))
        return score_sets.audit_and_publish(self.sink, score_sets.publication(attempt, given, day=day))

    def key(self, name: str = "ada", role: Role = "viewer", app: str | None = None) -> dict[str, str]:
        """The header of a new key."""
        return {"X-API-Key": KeyFile(self.home).create(name, role, app)}

    def ask(self, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        """One request."""
        return self.ask_all([(method, path)], **more)[0]

    def ask_all(self, requests: list[tuple[str, str]], **more: Any) -> list[httpx.Response]:
        """Requests at one time."""

        async def asked() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app)  # pyright: ignore[reportArgumentType]
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
                return await asyncio.gather(*(client.request(method, path, **more) for method, path in requests))

        return asyncio.run(asked())
