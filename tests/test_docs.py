import inspect
import re
import shlex
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from pydoc import locate

import pytest

import dlp
from dlp.cli import COMMANDS, main
from dlp.configs import config_folder, named_configs
from helpers.pages import SAMPLES

ROOT = Path(__file__).parents[1]
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("notebooks/*.py"),
    *sorted((ROOT / "docs").rglob("*.md")),
]
TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in PAGES
}
TEXTS.pop("CHANGELOG.md")
#: Snippets that need a run. On the page about texts, they run after its commands.
NEEDS_RUN = r"load_from_checkpoint|Predictor|restore"
WITH_ADDRESS = ["CHANGELOG.md", "SECURITY.md", ".github/ISSUE_TEMPLATE/config.yml"]
#: Long settings -> shorter ones to run instead; the test is that no error is raised.
SHORTER = {
    r'(?<="model.dropout": 0.3)(, "trainer.max_epochs": 2)?': ', "trainer.fast_dev_run": True',
    r"max_epochs=\d+": "max_epochs=1",
    r"else 40,": "else 1,",
    r"repeats=\d+": "repeats=1",
    r"make_classification\(4000": "make_classification(400",
    r"for epoch in range\(1, 11\)": "for epoch in range(1, 2)",
}


def blocks(text, *languages):
    """Return the fenced code blocks of a page in the given languages."""
    pairs = re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S)
    return [block for language, block in pairs if language in languages]


def commands(text):
    """Return the ``dlp`` commands in a text, in order and without the remarks after them."""
    lines = re.findall(r"(?:^|`)(dlp [a-z][^`\n]*)", text, re.M)
    lines = [
        re.split(r"(?<=\S)  +", re.sub(r"^(dlp \w+) +", r"\1 ", line))[0]
        for line in lines
    ]
    return [shlex.split(line)[1:] for line in lines if len(line.split()) > 2]


def name_of(words):
    """Return the name, one or two words, of a command."""
    return next(name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS)


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_to_files_and_headings(name):
    for target in re.findall(
        r"\]\(([^)\s:]+)\)", TEXTS[name]
    ):  # without a colon, so not a URL
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        page = file.resolve().relative_to(ROOT).as_posix()
        assert file.exists(), target
        if page.startswith("src/"):
            module = page.removeprefix("src/").removesuffix(".py").replace("/", ".")
            assert locate(f"{module}.{anchor}".strip(".")) is not None, target
        elif anchor:
            headings = re.findall(r"^#+ (.+)$", TEXTS[page], re.M)
            slugs = {
                re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings
            }
            assert anchor in slugs or f'<a id="{anchor}">' in TEXTS[page], target


def test_the_public_address_and_the_version_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    site = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    repository = project["urls"]["Repository"]
    owner, name = repository.split("/")[-2:]
    assert site["repo_url"] == repository
    assert site["repo_name"] == f"{owner}/{name}"
    assert site["site_url"] == f"https://{owner}.github.io/{name}/"
    assert site["copyright"] == f"Version {dlp.__version__}"
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    version, day = re.search(
        r"^version: (.*)\ndate-released: (.*)$", citation, re.M
    ).groups()
    assert version == dlp.__version__
    assert f"## [{version}] - {day}" in (ROOT / "CHANGELOG.md").read_text(
        encoding="utf-8"
    )
    cloned = re.findall(r"git clone (http\S+)", "\n".join(TEXTS.values()))
    assert {*cloned} == {repository}
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in WITH_ADDRESS)
    named = re.findall(r"https://github\.com/(?!advisories)[\w-]+/[\w-]+", text)
    assert {*named} == {repository}


def shorter(code):
    for pattern, replacement in SHORTER.items():
        code = re.sub(pattern, replacement, code)
    return code


#: The page whose snippets form one program. Other snippets run independently.
PROGRAM = "docs/course/keras.md"
PAGES_OF_SNIPPETS = [text for name, text in TEXTS.items() if name != PROGRAM]
SNIPPETS = [
    shorter(block) for text in PAGES_OF_SNIPPETS for block in blocks(text, "python")
]
NEED_RUN = [block for block in dict.fromkeys(SNIPPETS) if re.search(NEEDS_RUN, block)]


@pytest.mark.parametrize(
    "snippet", [b for b in dict.fromkeys(SNIPPETS) if b not in NEED_RUN]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # from Lightning's own calls
def test_snippets_run(snippet, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script.py"])
    exec(snippet, {})
    assert snippet


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_keras_beside_lightning_runs_from_top_to_bottom():
    names = {}
    for block in blocks(TEXTS[PROGRAM], "python"):
        exec(shorter(block), names)
    assert Path("best.ckpt").exists() or names["best"].best_model_path
    assert [
        name
        for name, weight in names["model"].named_parameters()
        if weight.requires_grad
    ]


@pytest.mark.parametrize(
    "example", sorted(ROOT.glob("examples/*.py")), ids=lambda path: path.stem
)
def test_examples_print_what_they_found(example, capsys):
    exec(shorter(example.read_text(encoding="utf-8")), {"__name__": "__main__"})
    assert capsys.readouterr().out.strip()


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_commands_are_parsed(name, tmp_path, capsys):
    (tmp_path / "space.yaml").touch()
    for words in commands(re.sub(r"\b(N|S)\b", "5", TEXTS[name])):
        command = name_of(words)
        module = import_module(f"dlp.commands.{COMMANDS[command].module}")
        function, args = (
            getattr(module, command.split()[-1]),
            words[len(command.split()) :],
        )
        if "recipe" in inspect.signature(function).parameters:
            for config in re.findall(r"--config (\S+\.yaml)", " ".join(words)):
                kind = {"reviews.yaml": "texts", "flowers.yaml": "images"}.get(
                    config, "table"
                )
                text = (config_folder() / f"own/{kind}.yaml").read_text(
                    encoding="utf-8"
                )
                (tmp_path / config).write_text(text, encoding="utf-8")
            is_help = any(word.endswith("help") for word in words)
            with pytest.raises(SystemExit) as exit_:
                main(words if is_help else [*words, "--print_config"])
            assert exit_.value.code == 0, words
        else:
            split = next(
                (i for i, word in enumerate(args) if word.startswith("--")), len(args)
            )
            options = {word.removeprefix("--"): None for word in args[split::2]}
            positional = [args[:split]] if command == "compare" else args[:split]
            inspect.signature(function).bind(*positional, **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_a_page_runs_from_its_first_command_to_its_last(name, tmp_path):
    """Write the samples and configs of a page, and run its commands with one epoch."""
    SAMPLES[name](tmp_path)
    for block in blocks(TEXTS[name], "bash", "yaml"):
        if file := re.match(r"# (\w+\.yaml)", block):
            (tmp_path / file[1]).write_text(block, encoding="utf-8")
            if "class_path" in block:
                main(["fit", "--config", file[1], "--trainer.fast_dev_run", "true"])
        for line in block.splitlines():
            for words in commands(line):
                if words[0] in ("fit", "crossval", "tune"):
                    words += ["--trainer.max_epochs", "1"]
                if words[0] == "tune":
                    words += ["--trials", "2"]
                is_recipe = set(words) & {
                    *named_configs()
                }  # the tests of configs run them
                if (
                    not is_recipe and words[0] != "serve"
                ):  # serve does not end and has its own tests
                    main(words)
    if name == "docs/data/texts.md":
        for snippet in NEED_RUN:
            exec(snippet.replace('"imdb"', '"reviews"'), {})
    assert (tmp_path / "runs").exists()


def test_commands_and_configs_exist():
    configs = named_configs() | named_configs("variations")
    for words in [words for text in TEXTS.values() for words in commands(text)]:
        assert name_of(words)
        for config in re.findall(r"--config (\S+)", " ".join(words)):
            assert config.endswith(".yaml") or config in configs, words
