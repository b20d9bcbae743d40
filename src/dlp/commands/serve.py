"""Command ``serve``: a trained model over HTTP, and a page to try it."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import pandas as pd
from PIL import Image

from dlp.errors import check_range, extra
from dlp.inference.predictor import Predictor, exported_file
from dlp.runs.folder import Run, checkpoints_of

with extra("serve"):
    import uvicorn
    from fastapi import Body, Depends, FastAPI, Request, UploadFile
    from fastapi.exceptions import RequestValidationError
    from fastapi.middleware.trustedhost import TrustedHostMiddleware
    from fastapi.responses import FileResponse, JSONResponse
    from starlette.exceptions import HTTPException

_MAX_BYTES = 10_000_000
_MAX_ROWS = 1000  # of files Starlette takes as many
_MAX_EXPLAINED = 16
_ERRORS = (
    HTTPException,
    RequestValidationError,
    ValueError,  # of rows, as those that follow
    TypeError,
    LookupError,
    OverflowError,
    RecursionError,
)
_ACCEPTED = "POST /predict, /explain take JSON {rows: [...]}, or files of images, up to 10 MB."


def serve(run: str, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve a trained model over HTTP, with a page to try it.

    Args:
        run: Folder of a run, name of a config (its newest run), checkpoint, or exported folder.
        host: Address to listen at; 0.0.0.0 is every address of the machine, `::` every IPv6 one.
        port: Port; 0 is a free one.
    """
    check_range(0, 65535, port=port)
    hosts = [host, f"[{host}]", "127.0.0.1", "localhost"]
    if host in ("0.0.0.0", "::"):
        hosts = ["*"]
    file = exported_file(run)
    if file is not None:
        predictor = Predictor.load(run)
    else:
        from dlp.runs.restoring import load_predictor  # an export needs no torch

        file = checkpoints_of(run)[0]
        predictor = load_predictor(run)
    record = Run.of(file) or Run(Path(run))
    results = record.results()
    facts = {
        "run": str(record.folder),
        "data": results.get("data"),
        "quality": results.get("test", {}).get("summary"),
    }
    api = app(predictor, hosts, facts)
    config = uvicorn.Config(api, host, port, timeout_graceful_shutdown=3)
    uvicorn.Server(config).run()


def app(
    predictor: Predictor,
    hosts: Sequence[str] = ("*",),
    facts: dict[str, Any] | None = None,
) -> FastAPI:
    """Return the application that serves a model.

    Args:
        predictor: Model.
        hosts: Names of the server, against pages that rebind theirs to it; `*` is any name.
        facts: ``run``, ``data`` and ``quality`` of the model, which the page shows.
    """
    api = FastAPI(
        title="dlp",
        exception_handlers=dict.fromkeys(_ERRORS, _refuse),
        max_body_size=_MAX_BYTES,
        docs_url=None,  # FastAPI's pages of documentation load foreign scripts
        redoc_url=None,
    )
    api.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)

    @api.get("/")
    def page() -> FileResponse:
        return FileResponse(Path(__file__).with_suffix(".html"))

    @api.get("/schema")
    def schema() -> dict[str, Any]:
        spec = predictor.spec
        inputs = {name: spec.inputs.get(name) for name in ("kind", "tokens", "fit", "shape")}
        return {
            **inputs,
            "form": predictor.reader.form,
            "columns": predictor.reader.fields(),
            "classes" if spec.answer.task else "targets": spec.answer.names,
            "coverage": spec.answer.coverage,
            "card": spec.card,
            **(facts or {}),
        }

    @api.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    Image.MAX_IMAGE_PIXELS = 40_000_000  # twice as many are an error: a small file may hold more
    lock = Lock()  # requests wait for each other
    body = Body(embed=True, min_length=1, max_length=_MAX_ROWS)
    if predictor.reader.form == "file":
        body = Depends(_contents)
    rows_type = Annotated[list[Any], body]

    @api.post("/predict")
    def predict(rows: rows_type) -> dict[str, Any]:
        with lock, warnings.catch_warnings(record=True, action="always") as log:
            predictions = predictor.predict(rows).to_dict("records")
        notes = [str(entry.message) for entry in log if entry.category is UserWarning]
        return {"predictions": predictions, "notes": notes}

    @api.post("/explain")
    def explain(rows: rows_type) -> dict[str, Any]:
        if len(rows) > _MAX_EXPLAINED:  # a text takes a tenth of a second
            raise ValueError(f"explain takes at most {_MAX_EXPLAINED} rows, not {len(rows)}.")
        with lock:
            explanations = [_plain(predictor.explain(row)) for row in rows]
        return {"explanations": explanations}

    return api


def _plain(reasons: Any) -> list[Any]:
    """Return the lines of a table of reasons, or the rows of a map of pixels."""
    if isinstance(reasons, pd.DataFrame):
        return reasons.to_dict("records")
    return list(reasons.tolist())


def _contents(file: list[UploadFile]) -> list[bytes]:
    return [upload.file.read() for upload in file]


async def _refuse(request: Request, error: Any) -> JSONResponse:
    """Answer a wrong request by one sentence."""
    status = getattr(error, "status_code", 422)
    sentence = str(error)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        sentence = f"{place}: {first['msg']}; {_ACCEPTED}"
    return JSONResponse({"error": sentence}, status)
