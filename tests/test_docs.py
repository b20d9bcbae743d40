import re
import runpy
from pathlib import Path
from pydoc import locate

import pytest

from dlp.cli import COMMANDS
from dlp.configs import recipes, variations

ROOT = Path(__file__).parents[1]
BUILT = {f"docs/course/{path.stem}.md" for path in ROOT.glob("notebooks/*.py")}
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
TEXTS = {name: text for name, text in TEXTS.items() if name not in {*BUILT, "CHANGELOG.md"}}
#: Blocks that need a run of one's own.
NEEDS_RUN = ("load_from_checkpoint", "Predictor")


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_to_files_and_headings(name):
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        page = file.resolve().relative_to(ROOT).as_posix() if ":" not in path else ""
        if not page or page in BUILT or re.match(r"docs/course/\d\d_", page):
            continue
        assert file.exists(), target
        if anchor.startswith("dlp."):
            entries = re.findall(r"^::: (\S+)", TEXTS[page], re.M)
            assert any(f"{anchor}.".startswith(f"{entry}.") for entry in entries), target
            assert locate(anchor) is not None, target
        elif anchor:
            headings = re.findall(r"^#+ (.+)$", TEXTS[page], re.M)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, target


@pytest.mark.parametrize("name", TEXTS)
def test_commands_and_configs_exist(name):
    names = {*recipes(), *variations()}
    for line in re.findall(r"(?:^|`)(dlp [a-z][^`\n]*)", TEXTS[name], re.M):
        words = line.split()
        is_command = words[1] in COMMANDS or " ".join(words[1:3]) in COMMANDS
        soon = words[1] in ("init", "export", "serve")
        assert is_command or soon or words[1] in ("COMMAND", "visualize"), line
        for config in re.findall(r"--config (\S+)", line):
            own = config.endswith((".yaml", "FILE", "NAME"))
            assert own or config in names, line


def snippets():
    blocks = [b for text in TEXTS.values() for b in re.findall(r"```python\n(.*?)```", text, re.S)]
    return [block for block in dict.fromkeys(blocks) if not re.search("|".join(NEEDS_RUN), block)]


@pytest.mark.parametrize("snippet", snippets())
def test_snippets_run(snippet):
    # The check is that nothing raises; a trial of the recipe is enough.
    trial = '"model.dropout": 0.3, "trainer.fast_dev_run": True'
    exec(re.sub(r'"model.dropout": 0.3(, "trainer.max_epochs": 2)?', trial, snippet), {})
    assert snippet


@pytest.mark.parametrize("example", sorted(ROOT.glob("examples/*.py")), ids=lambda path: path.stem)
def test_examples_print_what_they_found(example, capsys):
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out.strip()
