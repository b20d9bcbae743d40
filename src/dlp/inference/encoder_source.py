"""Source of an encoder outside of the project, as an exported model brings it along."""

import ast
import inspect
import sys
from pathlib import Path
from typing import Any

from dlp.errors import InputError
from dlp.reader.encoder import AnyEncoder

_READER = "dlp.reader"


def write_encoder(encoder: AnyEncoder, folder: Path) -> None:
    """Write the part of a file that the class of an encoder needs into the folder of an export.

    The file with the class usually imports torch, for its DataModule, but an export runs without
    torch. So only the class is written, and the imports, constants, functions and classes of its
    file that it names. An encoder of the project needs nothing, because an export has a copy of the
    package ``reader``.

    Raises:
        InputError: If the class names something of the project outside of ``reader``, or the
            encoder has an argument that no file holds.
    """
    kind = type(encoder)
    for argument, described in encoder.objects().items():
        raise InputError(
            f"the rows are encoded with {argument}: {described}, whose code an export cannot "
            "bring. Train without it to export, or predict with dlp."
        )
    if kind.__module__.startswith(f"{_READER}."):
        return
    source = Path(inspect.getfile(kind))
    path = folder / f"{kind.__module__.rpartition('.')[2]}.py"
    path.write_text(_needed_source(kind, source.read_text("utf-8")), "utf-8")


def _needed_source(kind: type, source: str) -> str:
    """Return the statements of a file that a class needs, in the order of the file."""
    tree = ast.parse(source)
    defining: dict[str, ast.stmt] = {}
    for statement in tree.body:
        for name in _defined_names(statement):
            defining[name] = statement
    needed: set[str] = set()
    pending = [kind.__qualname__]
    while pending:
        name = pending.pop()
        if name in defining and name not in needed:
            needed.add(name)
            pending += _used_names(defining[name])
    imports = []
    parts = [f'"""Encoder {kind.__name__} of the rows of this model."""']
    for statement in tree.body:
        names = [name for name in _defined_names(statement) if name in needed]
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports += [_import(kind, statement, name) for name in names]
        elif names:
            parts.append(_text(source, statement))
    parts.insert(1, "\n".join(imports))
    return "\n\n\n".join(parts) + "\n"


def _defined_names(statement: ast.stmt) -> list[str]:
    """Return the names that a statement at the top of a file defines."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in statement.names]
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    nodes = ast.walk(statement)
    stored = [node for node in nodes if isinstance(node, ast.Name)]
    return [node.id for node in stored if isinstance(node.ctx, ast.Store)]


def _used_names(statement: ast.stmt) -> list[str]:
    return [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]


def _import(kind: type, statement: ast.Import | ast.ImportFrom, name: str) -> str:
    """Return the import of one name; the project's are imported from the copy of ``reader``."""
    [alias] = [each for each in statement.names if name in (each.name, each.asname)]
    origin = ""
    if isinstance(statement, ast.ImportFrom):
        origin = statement.module or ""
    if not f"{origin or alias.name}.".startswith("dlp."):
        single = ast.Import([alias])
        if isinstance(statement, ast.ImportFrom):
            return ast.unparse(ast.ImportFrom(statement.module, [alias], statement.level))
        return ast.unparse(single)
    value: Any = getattr(sys.modules[kind.__module__], name)
    if not origin.startswith(_READER):
        origin = getattr(value, "__module__", origin)
    if not origin.startswith(_READER):
        raise InputError(
            f"the encoder {kind.__name__} uses {name} of {origin or alias.name}, which an exported "
            f"model does not have. Use NumPy and {_READER}, or predict with dlp."
        )
    imported = ast.ImportFrom(origin.removeprefix("dlp."), [alias], 0)
    return ast.unparse(imported)


def _text(source: str, statement: ast.stmt) -> str:
    """Return the lines of a statement, with its decorators and the comment above it."""
    lines = source.splitlines()
    first = statement.lineno - 1
    for decorator in getattr(statement, "decorator_list", []):
        first = min(first, decorator.lineno - 1)
    while first > 0 and lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(lines[first : statement.end_lineno])
