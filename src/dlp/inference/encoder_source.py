"""Source code of a user's own encoder, which an exported model contains."""

import ast
import inspect
import sys
from pathlib import Path
from typing import Any

from dlp.errors import InputError
from dlp.reader.encoder import AnyEncoder
from dlp.reader.spec import OWN_ENCODER

_READER = "dlp.reader"


def write_encoder(encoder: AnyEncoder, folder: Path) -> None:
    """Write the source code of an encoder's class into the folder of an export.

    An export runs without torch, but the file that defines the class usually imports torch for its
    DataModule. Therefore only the class is written, together with the imports, constants, functions
    and classes of the same file that it uses. For an encoder of the project nothing is written,
    because every export contains a copy of the package ``reader``.

    Args:
        encoder: Encoder of the exported model.
        folder: Folder of the export.

    Raises:
        InputError: If the class uses a part of the project outside of ``reader``, or if the encoder
            has an argument that cannot be written to a file.
    """
    kind = type(encoder)
    for argument, described in encoder.objects().items():
        raise InputError(
            f"the rows are encoded with {argument}: {described}, whose code an export cannot "
            "contain. Train a model without this argument to export it, or predict with dlp."
        )
    if kind.__module__.startswith(f"{_READER}."):
        return
    source = Path(inspect.getfile(kind))
    path = folder / f"{OWN_ENCODER}.py"
    path.write_text(_needed_source(kind, source.read_text("utf-8")), "utf-8")


def _needed_source(kind: type, source: str) -> str:
    """Return the source code of the statements that a class needs, in the order of the file."""
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
            imports += [_import(kind, statement, name) for name in dict.fromkeys(names)]
        elif names:
            parts.append(_text(source, statement))
    parts.insert(1, "\n".join(imports))
    return "\n\n\n".join(parts) + "\n"


def _defined_names(statement: ast.stmt) -> list[str]:
    """Return the names that a statement at the top of a file defines."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [_name(alias) for alias in statement.names]
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    nodes = ast.walk(statement)
    stored = [node for node in nodes if isinstance(node, ast.Name)]
    return [node.id for node in stored if isinstance(node.ctx, ast.Store)]


def _used_names(statement: ast.stmt) -> list[str]:
    return [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]


def _import(kind: type, statement: ast.Import | ast.ImportFrom, name: str) -> str:
    """Return the import of one name. Names of the project come from the copy of ``reader``."""
    aliases = [alias for alias in statement.names if _name(alias) == name]
    if isinstance(statement, ast.Import):
        origin = aliases[0].name
        imported: ast.stmt = ast.Import(aliases)  # scipy.signal and scipy.stats both define scipy
    else:
        origin = statement.module or ""
        imported = ast.ImportFrom(origin, aliases, statement.level)
    if not f"{origin}.".startswith("dlp."):
        return ast.unparse(imported)
    value: Any = getattr(sys.modules[kind.__module__], name)
    if not origin.startswith(_READER):
        origin = getattr(value, "__module__", origin)
    if not origin.startswith(_READER) or isinstance(statement, ast.Import):
        raise InputError(
            f"the encoder {kind.__name__} uses {name} from {origin}, which an exported model does "
            f"not contain. Use only NumPy and the modules of {_READER}, or predict with dlp."
        )
    return ast.unparse(ast.ImportFrom(origin.removeprefix("dlp."), aliases, 0))


def _name(alias: ast.alias) -> str:
    """Return the name that an import statement defines."""
    return alias.asname or alias.name.partition(".")[0]


def _text(source: str, statement: ast.stmt) -> str:
    """Return the lines of a statement, with its decorators and the comment above it."""
    lines = source.splitlines()
    first = statement.lineno - 1
    for decorator in getattr(statement, "decorator_list", []):
        first = min(first, decorator.lineno - 1)
    while first > 0 and lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(lines[first : statement.end_lineno])
