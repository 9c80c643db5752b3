"""`/v2/models/...`: the Open Inference Protocol, version 2, for the model of each application of the profile."""

import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import Body, FastAPI, Path, Request, Response

from assets.stages.app import App
from assets.stages.open_models import OpenModel, OpenModels
from assets.stages.operation import NotThere
from models.compose.deadline import check_deadline, without_deadline
from models.errors import choose_from
from models.tensors import tensor_of
from models.tracing import note, span
from pipelines.service.arguments import OCTETS
from pipelines.service.door import QUICK_SECONDS, Door
from pipelines.service.errors import answers
from pipelines.service.inference_bodies import (
    EXAMPLE,
    EXAMPLE_ANSWER,
    EXAMPLE_MODEL,
    EXAMPLE_READY,
    EXAMPLE_SERVER,
    INFERENCE_REQUEST,
    LENGTH_HEADER,
    InferenceAsked,
    InferenceMade,
    ModelMetadata,
    ModelReady,
    ServerMetadata,
)
from pipelines.service.inference_tensors import (
    GivenValues,
    answer_of,
    columns_of,
    described,
    given_values,
    wanted_outputs,
)
from pipelines.service.rules import ANY, named_by, rule
from resources.account import on_account_of

_NAME, _VERSION = "model_name", "model_version"
_Name = Annotated[str, Path(max_length=200, description="Application whose model is asked for.")]
_Version = Annotated[str, Path(max_length=200, description="Version in the registry; without it, the champion.")]

_Asked = Annotated[InferenceAsked, Body(openapi_examples={"example": {"value": EXAMPLE}})]


def add_inference(service: FastAPI, door: Door) -> Sequence["OpenedModels"]:
    """Add the routes; a model is opened when it is first asked for. Return the models of each application."""
    models = {app.name: OpenedModels(door, app) for app in door.apps if app.scoring is not None}

    def named(name: str) -> OpenedModels:
        if name not in models:
            raise NotThere(
                f"There is no model {name[:60]!r}.", expected=choose_from(name, models), todo="Correct the name."
            )
        return models[name]

    own_metadata = ServerMetadata(name="tessera", version=version("tessera"), extensions=["binary_tensor_data"])

    async def server() -> ServerMetadata:
        return own_metadata

    async def metadata(model_name: _Name) -> ModelMetadata:
        return await named(model_name).metadata(None)

    async def metadata_of(model_name: _Name, model_version: _Version) -> ModelMetadata:
        return await named(model_name).metadata(model_version)

    async def ready(model_name: _Name) -> ModelReady:
        return await named(model_name).ready(None)

    async def ready_of(model_name: _Name, model_version: _Version) -> ModelReady:
        return await named(model_name).ready(model_version)

    async def infer(request: Request, model_name: _Name, asked: _Asked) -> Response:
        return await named(model_name).answer(request, None, asked)

    async def infer_of(request: Request, model_name: _Name, model_version: _Version, asked: _Asked) -> Response:
        return await named(model_name).answer(request, model_version, asked)

    model, pinned = f"/v2/models/{{{_NAME}}}", f"/v2/models/{{{_NAME}}}/versions/{{{_VERSION}}}"
    own = rule("viewer", named_by(_NAME))
    for path, endpoint, name, summary, example in (
        ("/v2", server, "server_metadata", "The server", EXAMPLE_SERVER),
        (model, metadata, "model_metadata", "Inputs and outputs of the champion", EXAMPLE_MODEL),
        (pinned, metadata_of, "model_version_metadata", "Inputs and outputs of a version", EXAMPLE_MODEL),
        (f"{model}/ready", ready, "model_ready", "The champion can answer", EXAMPLE_READY),
        (f"{pinned}/ready", ready_of, "model_version_ready", "A version can answer", EXAMPLE_READY),
        (f"{model}/infer", infer, "model_infer", "Answer rows with the champion", EXAMPLE_ANSWER),
        (f"{pinned}/infer", infer_of, "model_version_infer", "Answer rows with a version", EXAMPLE_ANSWER),
    ):
        about: dict[str, Any] = {"operation_id": name, "summary": summary, "tags": ["inference"]}
        about["openapi_extra"] = rule("viewer", ANY) if endpoint is server else own
        if example is EXAMPLE_ANSWER:
            about |= {"methods": ["POST"], "response_model": InferenceMade}
            about["openapi_extra"] = {**own, **INFERENCE_REQUEST}
        service.add_api_route(path, endpoint, responses=_answers(example), **about)
    return list(models.values())


def _answers(example: Any) -> dict[int | str, dict[str, Any]]:
    """Return the answers of a route; those of inference may have bytes after the JSON."""
    found = answers(example)
    if example is EXAMPLE_ANSWER:
        found[200]["content"][OCTETS] = {"schema": {"type": "string", "format": "binary"}}
    return found


class OpenedModels:
    """The models of one application, in a thread of their own."""

    def __init__(self, door: Door, app: App) -> None:
        self._door, self._app = door, app
        self._thread = door.thread(f"{app.name}-models")
        self._models: OpenModels | None = None
        #: Rows of which an answer took little enough CPU for the thread that reads requests to make it itself.
        self._quick_rows = 0

    async def follow(self) -> None:
        """Let a champion that is open make room for another one, which is opened now.

        Raises:
            TesseraError: it cannot be opened, and none was before.
        """
        if self._models is not None:
            await self._thread.run(self._models.follow)

    async def metadata(self, version: str | None) -> ModelMetadata:
        """Return inputs and outputs of a version."""

        def found() -> ModelMetadata:
            model = self._opened().at(version)
            inputs = [tensor_of(name, kind) for name, kind in model.inputs.items()]
            return ModelMetadata.model_validate(
                {
                    "name": self._app.name,
                    "versions": self._opened().versions(),
                    "platform": model.platform,
                    "inputs": [described(one) for one in inputs],
                    "outputs": [described(one) for one in model.outputs],
                    "model_version": model.version,
                }
            )

        return await self._thread.run(found)

    async def ready(self, version: str | None) -> ModelReady:
        """Return that a version can answer, after it was opened."""
        model = await self._thread.run(lambda: self._opened().at(version))
        return ModelReady(name=self._app.name, ready=True, model_version=model.version)

    async def answer(self, request: Request, version: str | None, asked: InferenceAsked) -> Response:
        """Return the outputs of a version for the rows of a request; who is asked about is logged."""
        given = given_values(asked)
        about = given.get(self._app.contract.entity)
        if about is not None and (entities := about.texts()):
            self._door.log_read(request, self._app.name, entities)
        if version is None and (model := self._at_once(given)) is not None:
            check_deadline()
            note(app=self._app.name)
            return self._answered(model, asked, given)
        return await self._thread.run(lambda: self._opened_and_answered(version, asked, given))

    def _at_once(self, given: Mapping[str, GivenValues]) -> OpenModel | None:
        """Return the champion where it answers in about the time that it takes to hand rows to the thread."""
        rows = max(next(iter(given.values())).tensor.shape, default=0) if given else 0
        if self._models is None or rows > self._quick_rows or not self._thread.is_idle:
            return None
        found = self._models.open_champion()
        return found if found is not None and found.is_local else None

    def _opened_and_answered(
        self, version: str | None, asked: InferenceAsked, given: Mapping[str, GivenValues]
    ) -> Response:
        name = self._app.name
        with span(f"infer {name}", {"tessera.app": name}):
            return self._answered(self._opened().at(version), asked, given)

    def _answered(self, model: OpenModel, asked: InferenceAsked, given: Mapping[str, GivenValues]) -> Response:
        name, began = self._app.name, time.thread_time()
        wanted = wanted_outputs(model, asked)
        columns, rows = columns_of(model, given)
        with on_account_of(name):
            predicted = model.predict(columns, rows)
        note(model_version=model.version, rows=rows)
        about = {"model_name": name, _VERSION: model.version, **({} if asked.id is None else {"id": asked.id})}
        body, length = answer_of(about, wanted, predicted, rows)
        is_quick = time.thread_time() - began <= QUICK_SECONDS
        self._quick_rows = max(self._quick_rows, rows) if is_quick else min(self._quick_rows, rows - 1)
        if length is None:
            return Response(body, media_type="application/json")
        return Response(body, media_type=OCTETS, headers={LENGTH_HEADER: str(length)})

    def _opened(self) -> OpenModels:
        if self._models is None:
            scoring, settings = self._app.scoring, self._door.stack.settings
            assert scoring is not None  # noqa: S101 - for the type checker: others have no routes
            ports = self._thread.ports
            with without_deadline():
                self._models = OpenModels(scoring(settings, ports), ports.registry, settings)
        return self._models
