"""Command ``serve``: serve a trained model over HTTP, with a page to try it."""

import base64
import json
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import pandas as pd
from PIL import Image

from dlp import __version__
from dlp.console import command_text, say
from dlp.errors import InputError, check_range, extra
from dlp.inference import csv_files
from dlp.inference.card import input_facts
from dlp.inference.predictor import Predictor, exported_file
from dlp.reader.rows import ReaderError
from dlp.reader.table import UnseenCategoryWarning
from dlp.runs.exports import changed_checkpoint
from dlp.runs.folder import Run

with extra("serve"):
    import uvicorn
    from fastapi import Body, Depends, FastAPI, Request, UploadFile
    from fastapi.exceptions import RequestValidationError
    from fastapi.middleware.trustedhost import TrustedHostMiddleware
    from fastapi.responses import FileResponse, JSONResponse, Response
    from fastapi.routing import APIRoute
    from starlette.datastructures import Headers
    from starlette.exceptions import HTTPException
    from starlette.middleware.body_limit import RequestBodyLimitMiddleware
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MAX_BYTES = 10_000_000
_MAX_CSV_BYTES = 100_000_000
_MAX_ROWS = 1000  # also Starlette's limit for the number of files
_MAX_EXPLAINED = 16
_MAX_PIXELS = 80_000_000  # of all images in a request; decoding so many takes seconds
_NOTES = (UserWarning, UnseenCategoryWarning)  # the warnings of libraries are subclasses
#: Facts about the inputs that the page shows or uses.
_INPUT_FACTS = ("kind", "tokens", "resizing", "shape", "column")
_ACCEPTED = (
    "POST /predict and /explain accept JSON {rows: [...]} or image files, up to 10 MB; "
    "/predict_csv accepts a file, up to 100 MB."
)
#: Messages that replace the messages of Starlette, by status.
_SENTENCES = {
    400: "the server does not accept the host name of this request. Start it with --host NAME.",
    413: (
        "the request is too large: JSON and images may have up to 10 MB, a CSV up to 100 MB. Send "
        "it in parts, or use dlp predict."
    ),
}
_ERRORS = {
    400: f"the body cannot be parsed; {_ACCEPTED}",
    404: f"404: there is no such address; {_ACCEPTED}",
    405: f"405: this address needs another method; {_ACCEPTED}",
    413: _SENTENCES[413],
}


def serve(run: str, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve a trained model over HTTP, with a page to try it in the browser.

    The command loads a checkpoint or an export and prints the address of the page, which you open
    in a browser on this machine. Programs send rows as JSON to ``/predict``. Stop the server with
    Ctrl-C. The command writes no files.

    Args:
        run: Folder of a run, name of a config (its newest run), checkpoint, or folder that
            ``dlp export`` wrote.
        host: Address to listen on. 0.0.0.0 means every IPv4 address of the machine, and ``::``
            every IPv6 address.
        port: Port to listen on. 0 means any free port.
    """
    check_range(0, 65535, port=port)
    _check_address(host, port)
    hosts = [host, f"[{host}]", "127.0.0.1", "localhost"]
    if host in ("0.0.0.0", "::"):
        hosts = ["*"]
    file = exported_file(run)
    record = Run.find(file or run)
    if file is not None:
        predictor = Predictor.load(file)
        checkpoint = changed_checkpoint(file, predictor.models[0].source)
        if checkpoint is not None:
            renew = command_text("export", checkpoint.parents[1], "--folder", file.parent)
            say(
                f"note: {checkpoint} has changed since this export. The export answers as before. "
                f"To renew it, run dlp {renew}."
            )
    else:
        from dlp.recipes.restoring import load_predictor  # an export needs no torch

        predictor = load_predictor(record)
    results = record.results()
    facts = {
        "run": str(record.folder),
        "data": results.get("data"),
        "quality": results.get("test", {}).get("summary"),
    }
    api = app(predictor, hosts, facts)
    config = uvicorn.Config(api, host, port, timeout_graceful_shutdown=3)
    uvicorn.Server(config).run()


def _check_address(host: str, port: int) -> None:
    """Check that the server can listen at the address, because uvicorn reports it in two lines."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise InputError(
            f"port: cannot listen at {host}, port {port} ({reason}). Give another port, such as "
            f"--port {port % 65535 + 1}."
        ) from error


def app(
    predictor: Predictor,
    hosts: Sequence[str] = ("*",),
    facts: dict[str, Any] | None = None,
) -> FastAPI:
    """Return the application that serves a model.

    Args:
        predictor: Model.
        hosts: Host names that requests may use; ``*`` means any. Other names are refused, which
            protects against web pages that rebind their own host name to this server.
        facts: ``run``, ``data`` and ``quality`` of the model, which the page shows.
    """
    refused = (HTTPException, RequestValidationError, InputError, ReaderError)
    api = FastAPI(
        title="dlp",
        version=__version__,
        exception_handlers={**dict.fromkeys(refused, _refuse), Exception: _fail},
        docs_url=None,  # FastAPI's documentation pages load scripts of other hosts
        redoc_url=None,
    )
    api.router.route_class = _StrictRoute
    api.add_middleware(RequestBodyLimitMiddleware, max_body_size=_MAX_BYTES)
    api.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    api.add_middleware(_JSONRefusals)
    # Pillow refuses an image with more than twice as many pixels. A small file can contain them.
    Image.MAX_IMAGE_PIXELS = _MAX_PIXELS // 2
    answers = _Answers(predictor)
    body = Body(embed=True, min_length=1, max_length=_MAX_ROWS)
    if predictor.encoder.form == "file":
        body = Depends(_contents)
    rows_type = Annotated[list[object], body]

    @api.get("/")
    def page() -> FileResponse:
        return FileResponse(Path(__file__).with_suffix(".html"))

    @api.get("/schema")
    def schema() -> dict[str, object]:
        return answers.schema() | (facts or {})

    @api.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @api.post("/predict")
    def predict(rows: rows_type) -> dict[str, object]:
        return answers.predict(rows)

    @api.post("/explain")
    def explain(rows: rows_type) -> dict[str, object]:
        return answers.explain(rows)

    if predictor.encoder.form in ("columns", "text"):
        api.post("/predict_csv", max_body_size=_MAX_CSV_BYTES, response_model=None)(
            answers.predict_csv
        )
    return api


class _Answers:
    """Answers of a model to requests. The requests are processed one at a time.

    Args:
        predictor: Model.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._lock = Lock()

    @contextmanager
    def _noting(self, notes: list[str]) -> Iterator[None]:
        """Wait for other requests; append each warning about the rows to the notes, only once."""
        with self._lock, warnings.catch_warnings(record=True, action="always") as log:
            yield
        for entry in log:
            note = str(entry.message)
            if entry.category in _NOTES and note not in notes:
                notes.append(note)

    def schema(self) -> dict[str, object]:
        """Return what the page needs to know about the rows and the answers."""
        encoder = self.predictor.encoder
        known = input_facts(encoder)
        inputs = {name: known.get(name) for name in _INPUT_FACTS}
        spec = self.predictor.spec
        return {
            **inputs,
            "form": encoder.form,
            "columns": encoder.fields(),
            "classes" if spec.answer.task else "targets": spec.answer.output_names,
            "coverage": spec.answer.coverage,
            "card": spec.card,
        }

    def predict(self, rows: list[object]) -> dict[str, object]:
        """Return the predictions for rows, and notes on the rows."""
        notes: list[str] = []
        with self._noting(notes):
            predictions = self.predictor.predict(rows).to_dict("records")
        return {"predictions": predictions, "notes": notes}

    def explain(self, rows: list[object]) -> dict[str, object]:
        """Return explanations of the predictions for a few rows."""
        if len(rows) > _MAX_EXPLAINED:  # a text takes a tenth of a second
            raise InputError(f"explain accepts at most {_MAX_EXPLAINED} rows, got {len(rows)}.")
        with self._noting([]):
            explanations = [_plain(self.predictor.explain(row)) for row in rows]
        return {"explanations": explanations}

    def predict_csv(self, file: UploadFile, request: Request) -> Response | dict[str, object]:
        """Predict the rows of a file; answer with a CSV, or with JSON if the request accepts it."""
        notes: list[str] = []
        name = file.filename or "rows.csv"
        turn = partial(self._noting, notes)
        result = csv_files.predict_csv(self.predictor, file.file, name, turn)
        if not _accepts_json(request.headers.get("accept", "")):
            content_type = f"text/csv; charset={result.encoding}"
            return Response(result.content, headers={"content-type": content_type})
        return {
            "rows": result.num_rows,
            "columns": result.columns,
            "first": result.first_rows,
            "notes": notes,
            "csv": base64.b64encode(result.content).decode(),
        }


def _plain(reasons: Any) -> Sequence[object]:
    """Return the rows of a table of reasons, or the rows of a heat map, for JSON."""
    if isinstance(reasons, pd.DataFrame):  # JSON cannot contain half of an emoji
        return reasons.map(_encodable).to_dict("records")
    return list(reasons.tolist())


def _encodable(cell: object) -> object:
    """Return a cell that JSON can encode."""
    return cell.encode(errors="replace").decode() if isinstance(cell, str) else cell


def _accepts_json(accept: str) -> bool:
    """Return True if the header ``Accept`` lists JSON, and does not list CSV before it."""
    for media_range in accept.split(","):
        media_type, _, parameters = media_range.partition(";")
        is_refused = parameters.replace(" ", "") in ("q=0", "q=0.0")
        if media_type.strip().lower() in ("application/json", "text/csv") and not is_refused:
            return media_type.strip().lower() == "application/json"
    return False


def _contents(file: list[UploadFile]) -> list[bytes]:
    """Return the contents of uploaded images.

    Raises:
        InputError: If the images have more than `_MAX_PIXELS` pixels in total.
    """
    contents = [upload.file.read() for upload in file]
    num_pixels = 0
    for content in contents:
        with suppress(OSError, Image.DecompressionBombError):  # the encoder will refuse it
            image = Image.open(BytesIO(content))
            num_pixels += image.width * image.height
    if num_pixels > _MAX_PIXELS:
        raise InputError(
            f"the images of a request may have at most {_MAX_PIXELS:,} pixels together, got "
            f"{num_pixels:,}. Send the images in several requests, or use dlp predict."
        )
    return contents


class _StrictRequest(Request):
    """Request whose JSON may not contain NaN and infinity. Python's parser would accept them."""

    async def json(self) -> Any:
        body = await self.body()
        text = body.decode(json.detect_encoding(body), "surrogatepass")

        def refuse(name: str) -> None:
            raise json.JSONDecodeError(f"{name} is not a value of JSON", text, text.find(name))

        return json.loads(text, parse_constant=refuse)


class _StrictRoute(APIRoute):
    """Route whose requests are instances of `_StrictRequest`."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return handle_strictly


class _JSONRefusals:
    """Middleware that answers in JSON if other middleware refuses a request in plain text."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_replaced = False

        async def send_json(message: Message) -> None:
            nonlocal is_replaced
            status = message.get("status")  # only the start of a response has one
            headers = Headers(raw=message.get("headers", []))
            is_plain = headers.get("content-type", "").startswith("text/plain")
            if status in _SENTENCES and is_plain:
                is_replaced = True
                answer = JSONResponse({"error": _SENTENCES[status]}, status)
                await answer(scope, receive, send)
            elif not is_replaced:
                await send(message)

        await self.app(scope, receive, send_json)


async def _refuse(request: Request, error: Any) -> JSONResponse:
    """Answer an invalid request with one sentence that says what is wrong."""
    status = getattr(error, "status_code", 422)
    sentence = str(error)
    if isinstance(error, HTTPException):
        sentence = _ERRORS.get(status, sentence)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = f"{place}: {first['msg']}"
        if first["type"] == "json_invalid":
            reason = f"the body is not JSON ({first['ctx']['error']}, character {first['loc'][-1]})"
        sentence = f"{reason}; {_ACCEPTED}"
    return JSONResponse({"error": sentence}, status)


async def _fail(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that raised an unexpected error, which Starlette then writes to the log."""
    return JSONResponse(
        {"error": "internal error; the log of the server contains the traceback."}, 500
    )
