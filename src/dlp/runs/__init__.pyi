from .recorder import RunRecorder

__all__ = ["RunRecorder"]
