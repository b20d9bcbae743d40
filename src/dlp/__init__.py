"""Deep Learning with Python, chapters 2 to 5, as a structured PyTorch Lightning project.

Importing this package loads neither torch nor Lightning.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlp.crossval import cross_validate as cross_validate
    from dlp.lightning_cli import load as load

__version__ = "1.0.0"
__all__ = ["cross_validate", "load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        from dlp.lightning_cli import load

        return load
    if name == "cross_validate":
        from dlp.crossval import cross_validate

        return cross_validate
    raise AttributeError(f"module 'dlp' has no attribute {name!r}")
