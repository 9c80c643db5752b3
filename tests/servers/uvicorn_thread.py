"""An ASGI application served by uvicorn in a thread of the test's process."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


@contextmanager
def uvicorn_thread(app: Any) -> Iterator[int]:
    """Serve the application on a free port of 127.0.0.1, which is provided."""
    with socket.create_server(("127.0.0.1", 0)) as own:
        settings = uvicorn.Config(
            app, log_level="critical", lifespan="off", ws="websockets-sansio", proxy_headers=False, server_header=False
        )
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([own])))
        thread.start()
        yield own.getsockname()[1]
        server.should_exit = True
        thread.join()
