"""What torchmetrics and Lightning import for few people waits until somebody asks for it.

``import lightning`` loads every metric of torchmetrics, and with them SciPy's signal processing
(for old audio metrics), torchvision (for two image metrics) and pyplot; three modules of Lightning
load the compiler of torch, to compare with a class and to mark a function, and so does torchvision,
for an operation of detectors. That is more than half of the time before a command begins. Here
these modules are loaded with stand-ins for what they import: a `Deferred` becomes the real object
when somebody uses it. A module that is not as these are, in another version, is loaded plainly.
"""

import builtins
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, cached_property, partial, wraps
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

#: Module that imports more than most people need -> what it imports at the first use instead.
DEFERRED = {
    "torch._compile": "torch._dynamo",
    "lightning.fabric.wrappers": "torch._dynamo",
    "lightning.pytorch.trainer.connectors.logger_connector.result": "torch._dynamo",
    "lightning.pytorch.utilities.compile": "torch._dynamo",
    "torchmetrics": "scipy.signal",
    "torchmetrics.audio": "scipy.signal",
    "torchmetrics.functional.audio": "scipy.signal",
    "torchmetrics.functional.image.arniqa": "torchvision",
    "torchmetrics.functional.image.dists": "torchvision",
    "torchmetrics.utilities.plot": "matplotlib",
    "torchvision.ops.roi_align": "torch._dynamo",
}


class Deferred:
    """Stands for an object that takes time to import, until it is used.

    While the module that imports it is being loaded, its attributes and its results are stand-ins
    as well.

    Args:
        make: Returns the object.
        loader: Of the module that imports it.
    """

    def __init__(self, make: Callable[[], Any], loader: "_DeferringLoader") -> None:
        self._make = make
        self._loader = loader

    @cached_property
    def _object(self) -> Any:
        return self._make()

    def _then(self, use: Callable[[Any], Any]) -> Any:
        if self._loader.is_loading:
            return Deferred(lambda: use(self._object), self._loader)
        return use(self._object)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the object."""
        if name.startswith("__"):  # typing asks for such, of the stand-in
            raise AttributeError(name)
        return self._then(lambda real: getattr(real, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # those of the object
        """Call the object."""
        return self._then(lambda real: real(*args, **kwargs))

    def __instancecheck__(self, instance: object) -> bool:
        """Answer without an import: nothing is of a class that nobody has imported."""
        return self._loader.package in sys.modules and isinstance(instance, self._object)


class _DeferringLoader(SourceFileLoader):
    """Loads a module whose imports of a package are stand-ins."""

    is_loading = False

    @property
    def package(self) -> str:
        """What is deferred."""
        return DEFERRED[self.name]

    def exec_module(self, module: ModuleType) -> None:
        """Load the module, with an ``import`` of its own; plainly if it does not go with that."""
        self.is_loading = True
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": self._import}
        try:
            with _compiler_waits() if self.package == "torch._dynamo" else nullcontext():
                super().exec_module(module)
        except (AttributeError, TypeError):  # it uses at once what it imports
            self.is_loading = False
            super().exec_module(module)
        finally:
            self.is_loading = False
            vars(module)["__builtins__"] = vars(builtins)

    def _import(
        self,
        name: str,
        namespace: dict[str, Any] | None = None,
        local: dict[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """Import as Python does, or return a stand-in."""
        is_it = name == self.package or name.startswith(f"{self.package}.")
        if not self.is_loading or level or not is_it:
            return builtins.__import__(name, namespace, local, fromlist or (), level)
        if fromlist:
            return Deferred(lambda: import_module(name), self)
        return Deferred(lambda: builtins.__import__(name), self)  # binds the first word alone


class _CompilerGuardLoader(SourceFileLoader):
    """Loads ``torch._compile``, whose decorator keeps functions out of the compiler of torch.

    It loads the compiler for that, at the first call of such a function: each optimizer has some.
    """

    def exec_module(self, module: ModuleType) -> None:
        """Load the module; what its decorator makes waits for somebody who compiles."""
        super().exec_module(module)
        disable = getattr(module, "_disable_dynamo", None)
        if disable is None:
            return

        def disabled(function: Any = None, recursive: bool = True) -> Any:
            if function is None:
                return partial(disabled, recursive=recursive)
            return _until_compiled(function, lambda: disable(function, recursive))

        vars(module)["_disable_dynamo"] = disabled


@contextmanager
def _compiler_waits() -> Iterator[None]:
    """Let ``torch.compiler.disable`` mark functions without loading the compiler."""
    import torch

    disable: Callable[..., Any] = torch.compiler.disable
    torch.compiler.disable = lambda function: _until_compiled(function, lambda: disable(function))  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        torch.compiler.disable = disable


def _until_compiled(
    function: Callable[..., Any], make_disabled: Callable[[], Callable[..., Any]]
) -> Callable[..., Any]:
    """Return a function that is the plain one until there is a compiler to keep out."""
    disabled = cache(make_disabled)

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:  # those of the function
        return (disabled() if "torch._dynamo" in sys.modules else function)(*args, **kwargs)

    return called


class _DeferringFinder(MetaPathFinder):
    """Finds the modules of `DEFERRED`, where what they import is not there anyway."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load a module of `DEFERRED`; None for every other one."""
        package = DEFERRED.get(fullname)
        if package is None or package in sys.modules:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or type(spec.loader) is not SourceFileLoader:
            return None
        kind = _CompilerGuardLoader if fullname == "torch._compile" else _DeferringLoader
        spec.loader = kind(spec.loader.name, spec.loader.path)
        return spec


def defer_imports() -> None:
    """Let the modules of `DEFERRED` be loaded so from now on.

    The command line does this. A script or a ``conftest.py`` of your own may, before its first
    ``import torch`` or ``import lightning``; what is loaded by then stays as it is.
    """
    if not any(isinstance(finder, _DeferringFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _DeferringFinder())
