import re
import runpy
from pathlib import Path

import pytest

from dlp.cli import COMMANDS
from dlp.configs import recipes, variations

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
#: Blocks that need a run of one's own.
NEEDS_RUN = "load_from_checkpoint"


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_to_files_and_headings(name):
    page = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.M)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, target


@pytest.mark.parametrize("name", TEXTS)
def test_commands_and_configs_exist(name):
    names = {*recipes(), *variations()}
    for line in re.findall(r"(?:^|`)(dlp [a-z][^`\n]*)", TEXTS[name], re.M):
        words = line.split()
        is_command = words[1] in COMMANDS or " ".join(words[1:3]) in COMMANDS
        assert is_command or words[1] in ("COMMAND", "visualize"), line
        for config in re.findall(r"--config (\S+)", line):
            own = config.endswith((".yaml", "FILE", "NAME", "flowers"))
            assert own or config in names, line


def snippets():
    blocks = re.findall(r"```python\n(.*?)```", TEXTS["docs/project/index.md"], re.S)
    return [block for block in blocks if NEEDS_RUN not in block]


@pytest.mark.parametrize("snippet", snippets())
def test_snippets_run(snippet):
    # The check is that nothing raises; a trial of the recipe is enough.
    exec(snippet.replace('"trainer.max_epochs": 2', '"trainer.fast_dev_run": True'), {})
    assert snippet


@pytest.mark.parametrize("example", sorted(ROOT.glob("examples/*.py")), ids=lambda path: path.stem)
def test_examples_print_what_they_found(example, capsys):
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out.strip()
