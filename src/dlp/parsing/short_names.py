"""The classes that configs and options may name without their package: those that are public.

jsonargparse finds a class by its name alone once it is imported. A class is imported when it is
named, since some need packages that take a second to load; all are where a list of them is shown.
"""

from collections.abc import Iterable

from dlp import callbacks, datamodules, modules

#: Name -> the package that exports it. Arrays stand in no config.
SHORT_NAMES = {
    name: package
    for package in (datamodules, modules, callbacks)
    for name in dir(package)
    if name != "ArrayDataModule"
}


def import_public(names: Iterable[str] = SHORT_NAMES) -> None:
    """Import the public classes among `names`; all of them by default."""
    for name in names:
        if name in SHORT_NAMES:
            getattr(SHORT_NAMES[name], name)
