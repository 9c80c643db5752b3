"""Shared parts of the routes: the profile, its published sets, the log of reads, and threads that own their ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

from fastapi import Request

from assets.apps import APPS
from assets.stages.app import App
from assets.stages.keyed_scores import PublishedScores
from models.compose.deadline import check_deadline
from pipelines.gateway.reads import ReadLog
from pipelines.gateway.request import client_subject
from resources.stack.loader import Stack
from resources.stack.ports import Ports

T = TypeVar("T")
#: CPU of an answer up to which the thread that reads requests makes it itself: to hand it over costs about as much.
QUICK_SECONDS = 0.005


class OwnThread:
    """One thread and the profile's ports, which it opens: databases do not like to be shared by threads."""

    def __init__(self, stack: Stack, name: str) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=f"tessera-{name}")
        self._works = set[Future[Any]]()
        self.ports = Ports(stack)

    @property
    def is_idle(self) -> bool:
        """Return True if no work is done or waits; asked by the thread that calls `run`."""
        return not self._works

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, done in the thread, in the trace and within the deadline of the request.

        Raises:
            DeadlinePassed: the deadline of the request had passed before the thread was free; nothing was done.
        """

        def begun() -> T:
            check_deadline()
            return work()

        made = self._threads.submit(copy_context().run, begun)
        self._works.add(made)
        made.add_done_callback(self._works.discard)
        return await asyncio.wrap_future(made)

    def end(self) -> None:
        """Let the work at hand finish, and start no other."""
        self._threads.shutdown(wait=True, cancel_futures=True)


class Door:
    """The profile as the routes see it."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.settings = stack, stack.settings.service
        self.apps: tuple[App, ...] = tuple(app for app in APPS if app.name in stack.apps)
        self._threads: list[OwnThread] = []
        self.reading = self.thread("scores")

    @cached_property
    def published(self) -> dict[str, PublishedScores]:
        """The published sets of each application that publishes any."""
        look, sink = self.settings.look_seconds, self.reading.ports.sink
        publishing = [app for app in self.apps if app.publishes]
        return {app.name: PublishedScores(sink, app.name, app.contract, look_seconds=look) for app in publishing}

    @cached_property
    def reads(self) -> ReadLog:
        """The log of who read whose score."""
        return ReadLog(self.stack.home, keep_days=self.settings.keep_reads_days)

    def thread(self, name: str) -> OwnThread:
        """Return a new thread with ports of its own; it ends with the service."""
        made = OwnThread(self.stack, name)
        self._threads.append(made)
        return made

    def log_read(self, request: Request, app: str, entities: Iterable[str]) -> None:
        """Keep that the holder of the request's key asked about these entities."""
        about = {
            "who": request.scope["tessera.holder"].name,
            "path": request.scope["route"].path,
            "request_id": request.scope["tessera.request_id"],
        }
        if self.settings.client_subject and (subject := client_subject(request.scope)):
            about["certificate"] = subject
        self.reads.add(datetime.now(UTC), app, entities, **about)

    def end(self) -> None:
        """End the threads and close the log."""
        for thread in self._threads:
            thread.end()
        self.reads.close()
