"""`tessera serve` with one route more: a handler that receives the body of a request, and does nothing with it.

python -m benchmarks.service_with_empty_handler --port 0

What it costs is what any handler behind the same gateway costs, given the same body (`benchmarks.service`).
"""

from fastapi import FastAPI, Request, Response

from pipelines.cli import main
from pipelines.gateway.holder import ANY
from pipelines.service import build
from pipelines.service.door import Door
from pipelines.service.metrics import Metrics
from pipelines.service.rules import rule

PATH = "/v1/empty"
_ANSWER = b'{"rows":[]}'


async def _empty(request: Request) -> Response:
    while (await request.receive()).get("more_body"):
        pass
    return Response(_ANSWER, media_type="application/json")


def _add_own_routes(service: FastAPI, door: Door, metrics: Metrics) -> None:
    _added_by_the_service(service, door, metrics)
    service.add_api_route(PATH, _empty, methods=["POST"], openapi_extra=rule("viewer", ANY))


_added_by_the_service, build.add_own_routes = build.add_own_routes, _add_own_routes

if __name__ == "__main__":
    main()
