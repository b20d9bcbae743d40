from .folder import Run
from .recorder import RunRecorder
from .restoring import RestoredRun, out_of_fold_outputs, restore

__all__ = ["RestoredRun", "Run", "RunRecorder", "out_of_fold_outputs", "restore"]
