from .folder import Run
from .recorder import RunRecorder

__all__ = ["Run", "RunRecorder"]
