"""The help of the commands as text, in a form that is the same for all releases of Python.

Names and sentences come from the parsers. Types and defaults come from the source, because each
release of Python shows types differently. The options of Lightning's Trainer are left out.
"""

from contextlib import suppress
from unittest.mock import patch

from jsonargparse import ArgumentParser

from dlp.cli import COMMANDS, main
from helpers.public_api import load_source, parameter_text

#: Options of LightningCLI.
LIGHTNING = ("--config", "--data", "--model", "--print_config", "--seed_everything")


def describe():
    """Return the help of each command. An option that `dlp fit` also has is only listed there."""
    source = load_source()
    parser_module = source["recipes.parser"]
    run_options = [
        *parser_module["run_options"].parameters,
        *parser_module["checkpoint_option"].parameters,
    ]
    shared = {}
    lines = []
    for name, command in COMMANDS.items():
        function = source[f"commands.{command.module}.{name.split()[-1]}"]
        parser = parser_of(name)
        texts = option_texts(parser, [*run_options, *function.parameters])
        lines += [f"dlp {name}", *indent(parser.description), ""]
        if name == "fit":
            shared = {
                key: text for key, text in texts.items() if "ckpt_path" not in key
            }
        elif shared.items() <= texts.items():
            lines.append("    and the options of dlp fit")
            texts = {option: texts[option] for option in texts if option not in shared}
        for option, text in texts.items():
            lines += indent(option) + indent(text, 8)
        lines.append("")
    return "\n".join(lines)


def parser_of(command):
    """Return the parser that prints the help of a command."""
    parsers = []

    def record(parser, file=None):
        parsers.append(parser)

    with patch.object(ArgumentParser, "print_help", record), suppress(SystemExit):
        main([*command.split(), "--help"])
    return parsers[0]


def option_texts(parser, parameters):
    """Return the help of each option, by the option's name, type and default."""
    by_name = {parameter.name: parameter for parameter in parameters}
    texts = {}
    for action in parser._actions:
        names = [name for name in action.option_strings if name.startswith("--")]
        if action.dest in by_name:
            dashes = "--" if names else ""
            texts[dashes + parameter_text(by_name[action.dest])] = action.help
        elif set(names) & set(LIGHTNING):
            texts[names[0]] = "An option of LightningCLI."
    return texts


def indent(text, width=4):
    """Return the lines of a text, indented."""
    return [" " * width + line for line in text.splitlines()]
