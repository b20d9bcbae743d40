"""The section of a report that shows what the data were taken for."""

from collections.abc import Sequence

from dlp.errors import InputError
from dlp.reports import page
from dlp.reports.page import Block
from dlp.reports.trained_run import Trained

#: Longer tables are folded.
_LONG = 30


def reading(trained: Trained) -> Sequence[Block]:
    """Return what `dlp data` prints: facts, columns, samples and what to look at."""
    if trained.data is None:
        raise InputError(trained.problem)
    found = trained.data.reading()
    blocks: list[Block] = [page.Facts(found.facts())]
    if columns := found.input.columns:
        head = ["column", "taken for", "missing", "example", "detail"]
        cells = [
            [of.name, of.kind, f"{of.missing:.1%}" if of.missing else "", of.example, of.detail]
            for of in columns
        ]
        table = page.Table("What each column was taken for", head, cells, names=len(head))
        blocks.append(table if len(cells) <= _LONG else page.Folded(table.caption, [table]))
    if found.input.notes:
        blocks.append(page.Subheading("To look at"))
        blocks += [page.Paragraph(f"{note}.".replace("..", ".")) for note in found.input.notes]
    if found.input.samples:
        blocks.append(page.Subheading("How samples are read"))
        passages = [
            (page.Label(f"{sample.title}: {name}"), text)
            for sample in found.input.samples
            for name, text in sample.steps
        ]
        blocks.append(page.Passages(passages))
    return blocks
