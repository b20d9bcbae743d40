"""The first screen of a command's help: what most need, and how to see the rest."""

import argparse
import shutil
import textwrap
from collections.abc import Mapping, Sequence

#: The Trainer's arguments that most people give, and others of Lightning's, in short.
_IN_SHORT = {
    "trainer.max_epochs": "How many epochs to train.",
    "trainer.accelerator": "cpu, gpu, mps or auto (the default).",
    "trainer.devices": "How many devices, or which.",
    "trainer.precision": "32-true (the default), bf16-mixed, 16-mixed ...",
    "trainer.callbacks": "A callback, such as EarlyStopping; then --trainer.callbacks.KEY VALUE.",
    "trainer.fast_dev_run": "true tries one batch of each part, and writes nothing.",
    "seed_everything": "The seed of all that is random (default: 0).",
    "ckpt_path": "A checkpoint or a run's folder; best or last: of the newest run of the config.",
}
#: What the screen says in its own words, or nobody needs at first.
_ELSEWHERE = ("help", "config", "print_config", "print_shtab")
_LEFT = 28


def first_screen(
    prog: str, options: Mapping[str, argparse.Action], classes: Mapping[str, Sequence[str]]
) -> str:
    """Return the text of ``dlp COMMAND --help``.

    Args:
        prog: The command: ``dlp fit``.
        options: Every option of it, in its order: name, without dashes -> action.
        classes: The keys that name a class -> the names of those that come with the project.
    """
    own = [
        _line(name, action)
        for name, action in options.items()
        if "." not in name and name not in (*_ELSEWHERE, *classes, "trainer")
        if action.help is not argparse.SUPPRESS
    ]
    common = [
        _line(name, options[name])
        for name in _IN_SHORT
        if name in options and name.startswith("trainer.")
    ]
    named = [
        _row("--config NAME", "A recipe or variation by name (see dlp --help), or a YAML file; may "
             "be given several times, and later ones override."),
        *(_row(f"--{key} CLASS", f"{', '.join(names)}, or the import path of your own.")
          for key, names in classes.items()),
        _row("--data.KEY, --model.KEY VALUE", "An argument of a class: see below."),
    ]  # fmt: skip
    rest = [
        _row(f"{prog} --help all", "every option, those of the Trainer among them"),
        *(_row(f"{prog} --{key}.help {names[0]}", f"the arguments of a {key} class")
          for key, names in classes.items()),
        _row(f"{prog} --config NAME --print_config", "every key with its value, as YAML to edit"),
        _row("dlp --help", "the commands, the recipes and the variations"),
    ]  # fmt: skip
    sections = {
        "data and model": named,
        "options of the command": own,
        "the Trainer's most used": common,
        "to see more": rest,
    }
    usage = f"usage: {prog} --config NAME [--config VARIATION ...] [--KEY VALUE ...]\n"
    return "\n".join([usage, *("\n".join([f"{title}:", *s, ""]) for title, s in sections.items())])


def _line(name: str, action: argparse.Action) -> str:
    """Return the lines of one option."""
    text = (action.help or "").strip()
    text, default = _IN_SHORT.get(name, text), action.default
    if name in _IN_SHORT:
        default = None
    if default not in (None, False, argparse.SUPPRESS) and "default" not in text:
        text = f"{text.removesuffix('.')} (default: {default})."
    return _row(f"--{name}" if action.nargs in (0, "?") else f"--{name} VALUE", text)


def _row(left: str, right: str) -> str:
    """Return two columns, of which the right one is as wide as the terminal lets it be."""
    width = min(shutil.get_terminal_size().columns, 100) - _LEFT - 4
    lines = textwrap.wrap(right, max(width, 30), break_long_words=False) or [""]
    first = f"  {left:<{_LEFT}}  {lines[0]}" if len(left) <= _LEFT else f"  {left}"
    lines = lines[1:] if len(left) <= _LEFT else lines
    return "\n".join([first.rstrip(), *(f"{'':{_LEFT + 4}}{line}" for line in lines)])
