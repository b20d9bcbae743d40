"""What Lightning and torchmetrics import for few people waits until one of these asks for it."""

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from dlp.deferred_imports import DEFERRED, Deferred, defer_imports

_SCRIPT = """
import sys
from dlp.deferred_imports import defer_imports
defer_imports()
import torch, torchmetrics, lightning
from lightning.fabric.wrappers import _unwrap_compiled

heavy = {"scipy.signal", "torchvision", "matplotlib", "torch._dynamo", "sympy", "pandas"}
print("loaded:", sorted(heavy & sys.modules.keys()))

import torchvision
boxes = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]])
aligned = torchvision.ops.roi_align(torch.ones(1, 1, 8, 8), boxes, 2)
print("aligned:", float(aligned.sum()), "torch._dynamo" in sys.modules)
roi_align = sys.modules["torchvision.ops.roi_align"]
known = roi_align.is_compile_supported("cpu") in (True, False)
print("compiler:", known, "torch._dynamo" in sys.modules)

logged = {}
class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
    def training_step(self, batch, number):
        loss = self.layer(batch).sum()
        self.log("loss", loss)
        return loss
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu")
trainer = lightning.Trainer(max_epochs=1, enable_model_summary=False, **quiet)
trainer.fit(Model(), torch.ones(4, 2))
print("logged:", float(trainer.callback_metrics["loss"]) != 0)

layer = torch.nn.Linear(1, 1)
print("unwrapped:", _unwrap_compiled(layer)[0] is layer)
compiled = torch.compile(layer)
print("compiled:", _unwrap_compiled(compiled)[0] is layer)

metric = torchmetrics.classification.BinaryAccuracy()
metric.update(torch.tensor([0.2, 0.9]), torch.tensor([0, 1]))
figure, axes = metric.plot()
print("figure:", type(figure).__module__, axes.get_title() or axes.get_ylabel())
print("all there:", all(getattr(torchmetrics, name) for name in torchmetrics.__all__))

arniqa = sys.modules["torchmetrics.functional.image.arniqa"]
dists = sys.modules["torchmetrics.functional.image.dists"]
print("resnet:", isinstance(arniqa.resnet50(), torchvision.models.ResNet))
print("transform:", arniqa.transforms.Resize(3).size)
print("vgg:", isinstance(dists.vgg16(), torchvision.models.VGG))

from torchmetrics.functional import audio
print("signal:", float(audio.scipy.signal.convolve([1.0], [3.0])[0]))
ratio = audio.scale_invariant_signal_noise_ratio(torch.ones(8) * 2, torch.arange(8.0))
print("ratio:", ratio.ndim)
"""


def test_what_waits_is_not_loaded_and_works_when_it_is_asked_for() -> None:
    command = [sys.executable, "-W", "ignore", "-c", _SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    assert found == {
        "loaded": "[]",
        "logged": "True",
        "aligned": "4.0 False",
        "compiler": "True True",
        "unwrapped": "True",
        "compiled": "True",
        "figure": "matplotlib.figure BinaryAccuracy",
        "all there": "True",
        "resnet": "True",
        "transform": "3",
        "vgg": "True",
        "signal": "3.0",
        "ratio": "0",
    }


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return a module of the given text that imports ``slow_package``, which notes its loading."""
    package = tmp_path / "slow_package"
    package.mkdir()
    (package / "__init__.py").write_text("class Thing:\n    size = 3\n\nNUMBER = 2\n")
    (package / "inner.py").write_text("def mark(function):\n    return lambda: function() + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    defer_imports()

    def loaded(text: str) -> ModuleType:
        for name in ("quick", "slow_package", "slow_package.inner"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / "quick.py").write_text(text)
        monkeypatch.setitem(DEFERRED, "quick", "slow_package")
        importlib.invalidate_caches()
        return importlib.import_module("quick")

    return loaded


def _waits() -> bool:
    return "slow_package" not in sys.modules


def test_a_stand_in_becomes_the_object_when_it_is_used(load: Callable[[str], ModuleType]) -> None:
    quick = load("import slow_package\nfrom slow_package import Thing\nfrom pathlib import Path\n")
    assert _waits()
    assert isinstance(quick.Path(), Path)
    assert not isinstance(3, quick.Thing)
    assert _waits()
    assert quick.Thing().size == 3
    assert not _waits()
    assert quick.slow_package.NUMBER == 2
    assert isinstance(quick.Thing(), quick.Thing)
    assert not isinstance(3, quick.Thing)


def test_a_decorator_waits_until_the_function_is_called(
    load: Callable[[str], ModuleType],
) -> None:
    quick = load("import slow_package.inner as inner\n\n@inner.mark\ndef one():\n    return 1\n")
    assert _waits()
    assert quick.one() == 2
    assert not _waits()


def test_annotations_and_unions_need_no_object(load: Callable[[str], ModuleType]) -> None:
    quick = load(
        "from typing import Optional\nfrom slow_package import Thing\n"
        "KIND = Optional[Thing]\n\ndef of(thing: Thing | None if False else Thing): ...\n"
    )
    assert _waits()
    assert quick.KIND is not None


def test_a_module_that_uses_at_once_what_it_imports_is_loaded_plainly(
    load: Callable[[str], ModuleType],
) -> None:
    quick = load("from slow_package import NUMBER\nTWICE = NUMBER * 2\n")
    assert quick.TWICE == 4
    assert not isinstance(quick.NUMBER, Deferred)


def test_what_is_there_already_is_imported_as_ever(load: Callable[[str], ModuleType]) -> None:
    load("")
    importlib.import_module("slow_package")
    sys.modules.pop("quick")
    assert type(importlib.import_module("quick").__loader__).__name__ == "SourceFileLoader"


def test_an_error_of_the_module_itself_is_said(load: Callable[[str], ModuleType]) -> None:
    with pytest.raises(ZeroDivisionError):
        load("import slow_package\n1 / 0\n")
