from .crossval import cross_validate
from .lightning_cli import load

__all__ = ["cross_validate", "load"]
__version__: str
