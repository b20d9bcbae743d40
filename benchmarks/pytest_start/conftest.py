"""What docs/own_project.md shows: `pytest --noconftest` measures the same without it."""

from dlp.deferred_imports import defer_imports

defer_imports()
