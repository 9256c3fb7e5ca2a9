"""The service: each endpoint is one question to the model."""

# No `from __future__ import annotations`: FastAPI evaluates the annotations of the endpoints,
# which are defined within a function here.

import json
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Optional, Union

import anyio.to_thread
import pandas as pd
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from d2l_autorec import __version__
from d2l_autorec.errors import InputError, clip, plain
from d2l_autorec.serving.explain import explain
from d2l_autorec.serving.filters import Filters, parse_years
from d2l_autorec.serving.foldin import new_user
from d2l_autorec.serving.http import schemas
from d2l_autorec.serving.http.holder import Holder
from d2l_autorec.serving.http.limits import KEEP_ALIVE_SECONDS, MAX_HEADERS, Guard, Protocol
from d2l_autorec.serving.http.metrics import Metrics
from d2l_autorec.serving.http.page import page
from d2l_autorec.serving.http.server import is_loopback, listen, run_app
from d2l_autorec.serving.lookup import UnknownIdError, known_codes
from d2l_autorec.serving.model import Model
from d2l_autorec.serving.recommend import predict, recommend
from d2l_autorec.serving.records import records
from d2l_autorec.serving.similar import basis, diversity, similar

DESCRIPTION = """\
Recommendations by a trained AutoRec. Ids are strings; in requests a whole number will do. Every
answer names the digest of the model that gave it. What cannot be answered gets a status of 400 to
499 and a sentence as its detail."""
PROBLEMS: dict[Union[int, str], dict[str, Any]] = {
    404: {"model": schemas.Problem, "description": "The model knows no such user or item."},
    422: {"model": schemas.Problem, "description": "Something asked for cannot be."},
}

ENDING_SECONDS = 8  # for open requests, before the process ends without them
LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def serve(
    folder: Path,
    host: str,
    port: int,
    threads: int,
    ready: Callable[[str], None],
    names: Collection[str] = (),
) -> None:
    """Answer requests until SIGINT or SIGTERM; open ones are finished first.

    Parameters
    ----------
    threads : int
        How many questions are worked on at a time.
    ready : callable
        Is given the address when the service answers.
    names : collection of str
        Host names that requests may be addressed to, besides this machine's own. Without any, a
        service that only this machine reaches takes no other, and another service takes all.

    Raises
    ------
    InputError
        If the port is not to be had or the folder holds no sound model.
    """
    _set_log()
    with listen(host, port) as listener:
        metrics = Metrics()
        holder, taken = Holder(folder, metrics), names if names or is_loopback(host) else None
        run_app(
            make_app(holder, metrics, threads, taken),
            listener,
            host,
            ready,
            http=Protocol,
            ws="none",
            h11_max_incomplete_event_size=MAX_HEADERS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=ENDING_SECONDS,
        )
        holder.close()


def _set_log() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    for name, level in (("d2l_autorec.serve", logging.INFO), ("uvicorn.error", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)


def make_app(
    holder: Holder, metrics: Metrics, threads: int, names: Optional[Collection[str]] = None
) -> Guard:
    """Make the application. It works on ``threads`` questions at a time; for names see `Guard`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = threads
        yield

    app = FastAPI(
        title="d2l-autorec",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.path.strip("/"),
        exception_handlers={
            RequestValidationError: _invalid,
            HTTPException: _no_endpoint,
            InputError: _unusable,
            Exception: _failed,
        },
    )
    _add_questions(app, holder)
    _add_state(app, holder, metrics)
    return Guard(app, metrics, [route.path for route in app.routes], names)  # type: ignore[attr-defined]


def _add_questions(app: FastAPI, holder: Holder) -> None:
    def recommended(asked: schemas.RecommendQuery) -> Response:
        model = holder.current.model
        filters, unknown = _filters(model, asked)
        table = recommend(model, [asked.user], asked.n, asked.min_ratings, filters)
        return _list(model, table, unknown)

    @app.get("/recommend", response_model=schemas.Recommended, responses=PROBLEMS)
    def recommendations(asked: Annotated[schemas.RecommendQuery, Query()]) -> Response:
        """Name the items a user has not rated and would, by the model, like best."""
        return recommended(asked)

    @app.post(
        "/recommend",
        response_model=schemas.Recommended,
        responses=PROBLEMS,
        operation_id="recommend_from",
    )
    def recommendations_from(asked: schemas.RecommendBody) -> Response:
        """Do the same for a choice of items that is too long for a query."""
        return recommended(asked)

    @app.post("/predict", response_model=schemas.Rows, responses=PROBLEMS)
    def predictions(asked: schemas.PredictBody) -> Response:
        """Predict what users would rate items."""
        model, pairs = holder.current.model, asked.pairs
        return _rows(model, predict(model, [p.user for p in pairs], [p.item for p in pairs]))

    @app.get("/similar", response_model=schemas.Similar, responses=PROBLEMS)
    def neighbours(asked: Annotated[schemas.SimilarQuery, Query()]) -> Response:
        """Name the items most like an item, or the users most like a user."""
        if (asked.user is None) == (asked.item is None):
            raise InputError("Say what to compare with: give one of item and user.")
        model = holder.current.model
        what, name = ("item", asked.item) if asked.user is None else ("user", asked.user)
        table = similar(model, what, name, asked.n, asked.min_ratings)
        return _rows(model, table, compared=basis(model, what))

    @app.get("/explain", response_model=schemas.Explained, responses=PROBLEMS)
    def explanation(asked: Annotated[schemas.ExplainQuery, Query()]) -> Response:
        """Show which ratings moved a prediction most, by leaving out each in turn."""
        model = holder.current.model
        result = explain(model, asked.user, asked.item)
        [told] = records(predict(model, [asked.user], [asked.item]))
        said = {"prediction": told["prediction"], "unclipped": result.prediction}
        return _rows(model, result.table.head(asked.n), **said, num_read=told["num_read"])

    @app.post("/new-user", response_model=schemas.Recommended, responses=PROBLEMS)
    def for_new_user(asked: schemas.NewUserBody) -> Response:
        """Recommend to somebody who was not in training, from their ratings."""
        model = holder.current.model
        rated = pd.DataFrame([rating.model_dump() for rating in asked.ratings])
        known = known_codes(model, "item", rated["item"]) >= 0
        filters, unknown = _filters(model, asked)
        # new_user warns of items left out; the answer lists them instead
        rated, left_out = rated[known] if known.any() else rated, rated["item"][~known].tolist()
        table = new_user(model, rated, asked.n, asked.min_ratings, filters)
        return _list(model, table, [*left_out, *unknown])


def _add_state(app: FastAPI, holder: Holder, metrics: Metrics) -> None:
    @app.get("/model", response_model=schemas.About)
    def about() -> Response:
        """Tell what the model is and how good it was."""
        return _json(holder.current.about)

    @app.get("/health", response_model=schemas.Health)
    async def health() -> Response:
        """Tell that the service answers."""
        return _json({"status": "ok", "model": holder.current.model.digest})

    @app.get("/metrics", response_class=Response)
    def counts() -> Response:
        """Give the counts, for Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()))


def _filters(model: Model, asked: schemas.Choice) -> tuple[Filters, list[str]]:
    """Return the filters, and the items in them that the model does not know."""
    given = [*(asked.candidates or ()), *(asked.exclude or ())]

    def known(items: Optional[list[str]]) -> list[str]:
        return [item for item in items or () if item in model.item_codes]

    # where no candidate is known, they all go on to be refused
    candidates = known(asked.candidates) or asked.candidates
    years = parse_years(asked.year, "year") if asked.year is not None else None
    filters = Filters(candidates, known(asked.exclude), asked.genre or (), years)
    return filters, [item for item in given if item not in model.item_codes]


def _list(model: Model, table: pd.DataFrame, unknown: list[str]) -> Response:
    """Answer with recommendations; there is at most one list."""
    lists = records(diversity(model, table).drop(columns="user", errors="ignore"))
    said = {"compared": basis(model, "item"), **lists[0]} if lists else None
    return _rows(model, table, diversity=said, unknown_items=unknown)


def _rows(model: Model, table: pd.DataFrame, **more: Any) -> Response:
    rows = records(table)
    for row in rows:
        row.update({name: str(row[name]) for name in ("user", "item") if name in row})
    return _json({"model": model.digest, **more, "rows": rows})


def _json(content: Any) -> Response:
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Response(text, media_type="application/json")


def _problem(status: int, detail: str) -> JSONResponse:
    # what is not ASCII leaves as \u...: a lone surrogate has no UTF-8
    return JSONResponse({"detail": detail.encode("ascii", "backslashreplace").decode()}, status)


async def _invalid(_: Request, error: Any) -> Response:
    """Say where a request is not what it must be; of several faults the first."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return _problem(
            400, f"The body is no JSON: {first['ctx']['error']} at character {first['loc'][1]}."
        )
    where = ".".join(str(part) for part in first["loc"][1:]) or "the body"
    return _problem(422, f"{clip(where)}: {plain(first['msg'])[:200]}.")


async def _no_endpoint(request: Request, error: Any) -> Response:
    said = {
        404: f"There is nothing at {clip(request.url.path)}; /docs says what there is.",
        405: f"{clip(request.url.path)} takes no {clip(request.method)}; see /docs.",
    }
    return _problem(error.status_code, said.get(error.status_code, "The body cannot be read."))


async def _unusable(_: Request, error: Exception) -> Response:
    return _problem(404 if isinstance(error, UnknownIdError) else 422, plain(error))


async def _failed(_: Request, error: Exception) -> Response:
    return _problem(500, "The service has failed; its log says why.")
