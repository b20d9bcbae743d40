"""The journal of a study, ``study.log``: one line of JSON for each thing that happened."""

import json
from pathlib import Path

from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from dlp.console import say
from dlp.files import atomic_path

#: Beside the journal: what was cut off of it, for whoever wants to look.
DAMAGED = "study.log.damaged"


def open_journal(folder: Path) -> BaseStorage:
    """Return the storage in ``study.log``, mended where its end is damaged.

    Its lock is a file made by ``O_EXCL``: the default, a link, says nothing of its age to other
    machines, and Windows does not let everyone make one.
    """
    path = folder / "study.log"
    lock = JournalFileOpenLock(str(path))
    if path.exists() and _whole(found := path.read_bytes()) < len(found):
        lock.acquire()  # another process may have been writing just now
        try:
            _mend(path)
        finally:
            lock.release()
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def _mend(path: Path) -> None:
    """Cut a journal off at its first damaged line; each line depends on those before it."""
    found = path.read_bytes()
    whole = _whole(found)
    if whole == len(found):
        return
    with atomic_path(path.with_name(DAMAGED)) as temporary:
        temporary.write_bytes(found[whole:])
    with path.open("r+b") as file:
        file.truncate(whole)
    line = found.count(b"\n", 0, whole) + 1
    say(
        f"{path} is damaged from line {line} on: its last {len(found) - whole} bytes are left out "
        f"(kept in {DAMAGED}), and the search goes on from what is before"
    )


def _whole(journal: bytes) -> int:
    """Return how many bytes of a journal are whole lines of JSON objects."""
    length = 0
    for line in journal.splitlines(keepends=True):
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if not isinstance(entry, dict) or not line.endswith(b"\n"):
            break
        length += len(line)
    return length
