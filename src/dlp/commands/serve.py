"""Command ``serve``: a trained model over HTTP, and a page to try it."""

import socket
import warnings
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

from PIL import Image

from dlp.console import say
from dlp.errors import check_range, extra
from dlp.inference.predictor import Predictor

with extra("serve"):
    import uvicorn
    from fastapi import Body, Depends, FastAPI, Request, UploadFile
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import FileResponse, JSONResponse
    from starlette.exceptions import HTTPException
    from starlette.middleware.body_limit import RequestBodyLimitMiddleware

_MAX_BYTES = 10_000_000
_ACCEPTED = "POST /predict, /explain take JSON {rows: [...]}, or files of images, up to 10 MB."


def serve(run: str, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve a trained model over HTTP, with a page to try it.

    Args:
        run: Folder of a run, name of a config (its newest run), checkpoint, or exported folder.
        host: Address to listen at; 0.0.0.0 is every address of the machine.
        port: Port; 0 is a free one.
    """
    check_range(0, 65535, port=port)
    api = app(Predictor.load(run), () if host == "0.0.0.0" else {host, "127.0.0.1", "localhost"})
    with socket.create_server((host, port)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else 40 ms per answer
        say(f"serving {run} at http://{host}:{listener.getsockname()[1]}; Ctrl-C ends it")
        limits: Any = {"limit_concurrency": 64, "timeout_graceful_shutdown": 3}
        uvicorn.Server(uvicorn.Config(api, log_level="warning", **limits)).run([listener])


def app(predictor: Predictor, hosts: Collection[str] = ()) -> FastAPI:
    """Return the application that serves a model.

    Args:
        predictor: Model.
        hosts: Names of the server, against pages that rebind theirs to it; empty is any name.
    """
    rows_errors = (ValueError, TypeError, OverflowError, RecursionError)
    handlers: Any = dict.fromkeys((HTTPException, RequestValidationError, *rows_errors), _refuse)
    pages: Any = {"docs_url": None, "redoc_url": None}  # they load foreign scripts
    api = FastAPI(title="dlp", exception_handlers=handlers, **pages)
    Image.MAX_IMAGE_PIXELS = 40_000_000  # twice as many are an error: a small file may hold more
    api.add_middleware(RequestBodyLimitMiddleware, max_body_size=_MAX_BYTES)
    api.get("/", name="page")(lambda: FileResponse(Path(__file__).with_suffix(".html")))
    api.get("/schema", name="schema")(lambda: _schema(predictor))
    api.get("/health", name="health")(lambda: {"status": "ok"})
    lock, is_image = Lock(), predictor.inputs["kind"] == "image"
    body: Any = Depends(_contents) if is_image else Body(embed=True, min_length=1, max_length=1000)
    rows_type = Annotated[list[str | dict[str, Any] | list[Any]], body]

    @api.middleware("http")
    async def guard(request: Request, proceed: Any) -> Any:
        if hosts and request.url.hostname not in hosts:
            return await _refuse(request, HTTPException(421, f"Host is not in {hosts}"))
        if int(request.headers.get("content-length", 0)) > _MAX_BYTES:
            return await _refuse(request, HTTPException(413))
        return await proceed(request)

    @api.post("/predict")
    def predict(rows: rows_type) -> dict[str, Any]:
        with lock, warnings.catch_warnings(record=True, action="always") as log:
            predictions = predictor.predict(rows).to_dict("records")
        notes = [str(entry.message) for entry in log if entry.category is UserWarning]
        return {"predictions": predictions, "notes": notes}

    @api.post("/explain")
    def explain(rows: rows_type) -> dict[str, Any]:
        with lock:
            reasons = [*map(predictor.explain, rows)]
        return {"explanations": [r.tolist() if is_image else r.to_dict("records") for r in reasons]}

    return api


def _contents(file: list[UploadFile]) -> list[bytes]:  # Starlette takes 1,000 at most
    return [upload.file.read() for upload in file]


def _schema(predictor: Predictor) -> dict[str, Any]:
    """Return the fields of a row and the names of an answer."""
    inputs, head, columns = predictor.inputs, predictor.head, []
    for name, cell in inputs.get("typical", {}).items():
        categories = inputs["categories"].get(name)
        kind = "category" if categories else "text" if isinstance(cell, str) else "number"
        if cell and name in inputs["dates"]:
            form = (inputs["read_csv"] or {}).get("date_format", "%Y-%m-%d")
            kind, cell = "date", datetime.fromisoformat(cell).strftime(form)
        columns.append({"name": name, "kind": kind, "typical": cell, "categories": categories})
    fields = {key: inputs[key] for key in ("kind", "tokens", "fit", "shape") if key in inputs}
    names = {"classes" if head["task"] else "targets": head["names"], "task": head["task"]}
    return {**fields, "columns": columns, **names, "card": predictor.card}


async def _refuse(request: Request, error: Any) -> JSONResponse:
    """Answer a wrong request by one sentence."""
    status, sentence = getattr(error, "status_code", 422), str(error)
    if isinstance(error, HTTPException):
        sentence = f"{error.detail}; {_ACCEPTED}"
    elif isinstance(error, RequestValidationError):
        first = error.errors()[0]
        sentence = f"{'.'.join(map(str, first['loc']))}: {first['msg']}; {_ACCEPTED}"
    return JSONResponse({"error": sentence}, status)
