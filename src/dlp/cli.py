"""The command line's front door: light enough to answer ``--help`` without importing torch."""

import argparse
import atexit
import ctypes
import errno
import gc
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from dlp import __version__
from dlp.deferred_imports import defer_imports
from dlp.errors import InputError, absent_package, input_error, refusal, suggestion
from dlp.named_configs import about, recipes, variations
from dlp.stops import Stops, words
from dlp.visualization.beside import allow

#: No space, quota used up (where the system knows it), file larger than allowed.
_DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
#: Processes that ran or waited for a processor: three means, and how many do now.
_LOAD = Path("/proc/loadavg")
#: As of a program that SIGPIPE ends.
_PIPE_CLOSED = 141
#: What is not the user's to write, or no file (or folder) at all.
_NO_ENTRY = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR)

#: Command -> what runs it, given the words that stand after it; and its line in the help.
COMMANDS = {
    "data": (
        "dlp.commands.data:main",
        "show what the data are taken for, column by column; nothing is trained",
    ),
    "fit": ("dlp.commands.fit:main", "train a model, with validation, curves and checkpoints"),
    "validate": (
        "dlp.commands.evaluate:validate_main",
        "evaluate a trained model on the validation part",
    ),
    "test": ("dlp.commands.evaluate:test_main", "evaluate a trained model on the test part"),
    "predict": (
        "dlp.commands.predict:main",
        "write predictions for the test part, or for unlabelled input (--data.predict_path)",
    ),
    "crossval": (
        "dlp.commands.crossval:main",
        "K-fold and repeated K-fold validation, with the baseline beside it",
    ),
    "tune": ("dlp.commands.tune:main", "search for better hyperparameters"),
    "compare": (
        "dlp.commands.compare:compare",
        "draw runs together, with a table of their best values",
    ),
    "visualize": (
        "dlp.commands.visualize.command:visualize",
        "draw: visualize batch, activations, filters, heatmap or embedding",
    ),
    "report": (
        "dlp.reports.report:main",
        "write one page of a run: numbers, curves, mistakes, samples, heat maps",
    ),
}

#: What others call a command -> what it is called here.
COMMAND_HABITS = {
    "cross_validate": "crossval",
    "cv": "crossval",
    "eval": "test",
    "evaluate": "test",
    "infer": "predict",
    "inference": "predict",
    "optimize": "tune",
    "plot": "visualize",
    "run": "fit",
    "search": "tune",
    "train": "fit",
    "val": "validate",
}


def main(args: Sequence[str] | None = None) -> None:
    """Run one command.

    Args:
        args: The arguments, without the program's name; None takes those of the process (and is
            what the console script does).

    Raises:
        SystemExit: With status 2, after one sentence on what was wrong with the input; with 130
            after Ctrl-C and 143 after SIGTERM, after one on what is kept.
    """
    given = list(sys.argv[1:] if args is None else args)
    ended_well: list[bool] = []
    if args is None and Path(sys.argv[0]).name in ("dlp", "__main__.py"):  # no script of one's own
        atexit.register(_leave, ended_well)  # what is registered first is called last
    with Stops() as stops:
        try:
            if args is None:
                settle_streams()
            if _answered_at_once(given):
                return
            if args is None:
                keep_freed_memory()
                let_waiting_threads_sleep()
                allow()
            command, *options = given
            with _mistakes_in_one_sentence(), import_from_here():
                _run(command, options, args is None)
            ended_well.append(True)
        except BaseException as error:  # libraries wrap what a signal raises in errors of their own
            if (number := stops.number_of(error)) is None:
                raise
            if args is None:
                _end_children()
            sys.stderr.write(f"dlp: {words(number, error)}\n")
            raise SystemExit(128 + number) from None


def _end_children() -> None:
    """End the processes that this one has begun: those of ddp_spawn would train on."""
    from multiprocessing import active_children

    for child in active_children():
        child.terminate()


def _leave(ended_well: Sequence[bool]) -> None:
    """End the process when all that is to be done at its end is done.

    Python would take modules and objects apart, in 0.15 to 0.2 seconds of every command. Files that
    a callback or a logger left open are closed, as Python would do; what else ends in a way of its
    own, such as a ``ZipFile``, is for whoever opened it.

    Args:
        ended_well: Empty where something went wrong: Python knows with which status to end then.
    """
    if not ended_well or "coverage" in sys.modules:  # which writes later than this
        return
    if "logging" in sys.modules:
        sys.modules["logging"].shutdown()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # closed by who began the process
                stream.flush()
    except (OSError, ValueError):  # nobody reads any more: Python says so
        return
    base = io.IOBase.__base__  # asking for io's abstract classes takes 0.05 seconds
    files = [one for one in gc.get_objects() if base in type(one).__mro__]
    for file in sorted(files, key=_depth):
        with suppress(Exception):
            file.close()
    os._exit(0)


def _depth(file: io.IOBase) -> int:
    """Return 0 for text, more for what is below it: what zips it, bytes, the file itself."""
    if isinstance(file, io.TextIOBase):
        return 0
    if isinstance(file, io.RawIOBase):
        return 3
    return 2 if isinstance(file, io.BufferedWriter | io.BufferedRandom) else 1


@contextmanager
def _mistakes_in_one_sentence() -> Iterator[None]:
    """End the process with one sentence for what the user gave or the machine lacks.

    Raises:
        SystemExit: With status 2; with 141, and without a word, where nobody reads any more.
    """
    try:
        yield
    except (ValueError, RuntimeError, ZeroDivisionError, ModuleNotFoundError) as error:
        if (cause := input_error(error) or absent_package(error) or refusal(error)) is None:
            raise
        _stop(str(cause))
    except BrokenPipeError:
        if _is_read():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes at its end
        raise SystemExit(_PIPE_CLOSED) from None
    except OSError as error:
        if error.errno in _DISK_FULL:
            kept = " ".join(getattr(error, "__notes__", ["What was saved before is whole."]))
            place = error.filename or "while saving"
            _stop(f"the disk is full ({error.strerror}: {place}): free some space. {kept}")
        if error.errno not in _NO_ENTRY or error.filename is None:
            raise
        _stop(f"cannot use {error.filename}: {error.strerror}.")
    except Exception as error:  # Lightning is imported by now, if one of its own is raised
        from lightning.fabric.utilities.exceptions import MisconfigurationException

        if not isinstance(error, MisconfigurationException):
            raise
        _stop(str(error))


def _is_read() -> bool:
    """Whether somebody still reads what is printed: ``dlp data | head`` has soon seen enough."""
    try:
        print(flush=True)
    except BrokenPipeError:
        return False
    return True


def _run(command: str, words: list[str], is_process: bool) -> None:
    """Run a command; torch and Lightning load here, not before.

    Args:
        command: Its name.
        words: What stands after it.
        is_process: Whether this is all that the process does: what it imports is not searched for
            garbage then, neither now nor at the end, which takes a third of a short command.

    Raises:
        InputError: An option begins with one dash: ``-config`` would be ``-c onfig``.
    """
    for word in words:
        if re.fullmatch(r"-[A-Za-z][\w.-]+(=.*)?", word):
            raise InputError(f"{word} is no option: these begin with two dashes, -{word}")
    module, _, function = COMMANDS[command][0].partition(":")
    defer_imports()
    if is_process:
        gc.disable()
    run = getattr(import_module(module), function)
    if is_process:
        gc.freeze()
        gc.enable()
    run(words)


def _answered_at_once(given: list[str]) -> bool:
    """Answer ``--version``, ``--help`` and a misspelt command; return whether that was all."""
    if given and given[0] in COMMANDS:
        return False
    parser = argparse.ArgumentParser(
        prog="dlp",
        usage="dlp COMMAND --config NAME [--config VARIATION ...] [--KEY VALUE ...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Deep Learning with Python, chapters 2 to 5, in PyTorch Lightning.",
        epilog=_overview(),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"dlp {__version__}")
    if not given:
        parser.print_help()
        return True
    if given[0] == "help":
        if given[1:2] and given[1] in COMMANDS:
            given[:] = [given[1], "--help"]
            return False
        parser.print_help()
        return True
    parser.parse_known_args(given[:1])  # --help and --version answer and exit
    _stop(_not_a_command(given))
    return True


def _not_a_command(given: list[str]) -> str:
    """Return what to do where the first word is no command."""
    word = given[0]
    if word.startswith("-"):
        return f"a command comes first: dlp fit {' '.join(given)}. See dlp --help."
    if word in recipes() or word.endswith((".yaml", ".yml")):
        return f"{word} is a config; a command comes first: dlp fit --config {' '.join(given)}"
    habit = COMMAND_HABITS.get(word)
    meant = suggestion(word, COMMANDS) if habit is None else f" Did you mean {habit!r}?"
    return f"unknown command {word!r}.{meant} See dlp --help."


def _overview() -> str:
    def table(rows: dict[str, str]) -> str:
        return "\n".join(f"  {name:<12} {text}" for name, text in rows.items())

    named = table({name: about(path) for name, path in recipes().items()})
    commands = table({name: text for name, (_, text) in COMMANDS.items()})
    overlays = table({name: about(path) for name, path in variations().items()})
    return (
        f"commands (each has its own --help):\n{commands}\n\n"
        f"recipes, for --config:\n{named}\n\n"
        f"variations, for a second --config:\n{overlays}\n\n"
        "examples:\n"
        "  dlp fit --config quickstart\n"
        "  dlp fit --config imdb --config dropout --trainer.max_epochs 10\n"
        "  dlp test --config imdb\n"
        "  dlp fit --config imdb --print_config"
    )


def _stop(message: str) -> None:
    sys.stderr.write(f"dlp: {message}\n")
    raise SystemExit(2)


@contextmanager
def import_from_here() -> Iterator[None]:
    """Let configs name classes in the working directory, as ``python -m`` would."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def settle_streams() -> None:
    """Let letters be printed as escapes that stdout cannot encode: names and words in data.

    What is written to a closed stderr goes nowhere; it would fail, and the next file that is opened
    would get what libraries in C say there.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    if None in (sys.stdin, sys.stdout, sys.stderr):  # what is closed
        while (opened := os.open(os.devnull, os.O_RDWR)) < 3:
            pass
        os.close(opened)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def keep_freed_memory() -> None:
    """Tell glibc to keep freed blocks for reuse instead of returning them at each step.

    Large activations are then not mapped and zeroed anew in every step: a convnet trains 1.7
    times faster on the CPU. The setting cannot be read back, so only the console script makes it;
    elsewhere than on glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(mmap_threshold, 1 << 30)
        mallopt(trim_threshold, 2**31 - 1)


def let_waiting_threads_sleep() -> None:
    """On a busy machine, let torch's threads sleep while they wait for each other.

    By default they look again and again for some milliseconds, which is fastest where each has a
    processor. Where one has none, the others keep busy the very processor that it waits for: beside
    five processes on two cores a step of MNIST's convnet took 100 to 400 ms, and 30 to 70 with
    sleeping threads, in a quarter to two thirds of the CPU time. Results are the same.

    OpenMP reads it once, when torch is loaded: only the console script sets it. What the user has
    set stays. A machine is busy where others have kept its processors so for the last minute, and
    do now: with sleeping threads that step takes a third longer where nothing else runs.
    """
    with suppress(OSError):  # elsewhere than on Linux
        mean, _, _, now, _ = _LOAD.read_text(encoding="ascii").split()
        others, cores = int(now.partition("/")[0]) - 1, os.cpu_count() or 1
        if float(mean) >= cores + 1 and others >= cores:
            os.environ.setdefault("OMP_WAIT_POLICY", "passive")
