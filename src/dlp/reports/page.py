"""The page of a report: what may stand on it, and one HTML file that needs no other."""

import base64
import io
import re
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import matplotlib
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from PIL import Image

from dlp.errors import InputError
from dlp.number_words import in_words

if TYPE_CHECKING:
    from torch import Tensor

#: Whether something is as one would like it; said by a sign too, never by colour alone.
Tone = Literal["", "good", "bad"]
#: What may stand in a table; the page writes numbers as people read them.
Cell: TypeAlias = str | int | float | None
#: Images of a larger side are reduced to it.
_SIDE = 224
#: Images up to this side keep every pixel; of larger ones JPEG takes a tenth of the room.
_EXACT = 64
#: Figures are shown at this part of their natural size: their text is then as small as captions.
_SCALE = 0.92
#: Figures shrink to this part of that width, then scroll: text must stay readable.
_SMALLEST = 0.6
#: What is black in a figure has the colour of the page's text; what is to stay black is nearly so.
_BLACK, _OWN_BLACK = "#000000", "#000001"
#: Of the figures' lines: on a dark ground the page has a lighter one.
_BLUES = ("#1f77b4", "#0072b2")


@dataclass(frozen=True)
class Tile:
    """A key number: what it is, the number, and what to hold it against."""

    label: str
    value: Cell
    note: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Paragraph:
    """A sentence, and perhaps the command that follows from it."""

    text: str
    command: str = ""


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """A table: its first `names` columns are text, its `last` rows means and the like."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    names: int = 1
    last: int = 0


@dataclass(frozen=True)
class Shares:
    """A bar for each share of a whole, from 0 to 1, with its label."""

    caption: str
    rows: Sequence[tuple[str, float, str]]


@dataclass(frozen=True)
class Drawing:
    """A figure as an SVG element in the colours of the page; its natural width is in points."""

    svg: Markup
    width: float


@dataclass(frozen=True)
class Row:
    """Drawings and tables side by side, where there is room."""

    blocks: Sequence[Drawing | Table]


@dataclass(frozen=True)
class Label:
    """What stands at an image or a text: a title, whether that is good, and a note."""

    title: str
    note: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class InlineImage:
    """An image with its description, its label below it."""

    uri: str
    alt: str
    label: Label
    exact: bool = False


@dataclass(frozen=True)
class Gallery:
    """Images side by side."""

    images: Sequence[InlineImage]
    wide: bool = False


@dataclass(frozen=True)
class Passages:
    """Texts below each other, each with its label above it."""

    items: Sequence[tuple[Label, str]]


@dataclass(frozen=True)
class Code:
    """Text as it stands in a file."""

    text: str


@dataclass(frozen=True)
class Subheading:
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Folded:
    """What is shown once it is asked for."""

    summary: str
    blocks: Sequence["Block"]


Block: TypeAlias = (
    Paragraph | Facts | Table | Shares | Drawing | Row | Gallery | Passages | Code | Subheading
) | Folded


@dataclass(frozen=True)
class Section:
    """A part of the page, linked to by its name; or the `reason` why it is empty, a sentence."""

    name: str
    title: str
    blocks: Sequence[Block] = ()
    reason: str = ""


@dataclass(frozen=True)
class Page:
    """A report: what was trained and when, the key numbers with notes below them, the parts."""

    title: str
    name: str
    date: str
    verdict: str
    tiles: Sequence[Tile]
    notes: Sequence[Block] = ()
    sections: Sequence[Section] = field(default_factory=list)
    footer: str = ""


def render(page: Page) -> str:
    """Return the page as HTML that loads nothing; every text in it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["with_options"] = _with_options
    environment.filters["cell"] = _cell
    return environment.get_template("report.html").render(page=page)


def _with_options(text: str) -> Markup:
    """Return a sentence whose command-line options are set as code, which no line breaks."""
    return Markup(re.sub(r"--[a-z][\w.]*", r"<code>\g<0></code>", str(Markup.escape(text))))


def _cell(value: Cell) -> str:
    """Return what stands in a table as text: ``1,234``, ``0.1235``, ``-`` where there is none."""
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else number(value)


def section(name: str, title: str, make: Callable[[], Sequence[Block]]) -> Section:
    """Return a section; where what it needs is not there, the reason stands in its place."""
    try:
        return Section(name, title, make())
    except InputError as error:
        text = str(error)
        return Section(name, title, reason=text if text.endswith(".") else f"{text}.")


def number(value: float | None) -> str:
    """Return a number as people read it."""
    if value is None or value != value:
        return "-"
    if 0.001 <= abs(value) < 1:
        return f"{value:.4f}".rstrip("0")
    return in_words(value)


def plural(count: int, word: str) -> str:
    """Return ``1 row`` or ``1,234 rows``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def moment(seconds: float | None = None) -> str:
    """Return a time since 1970, or now, as people write it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


# Figures -----------------------------------------------------------------------------------------


def drawing(figure: Figure, alt: str) -> Drawing:
    """Return a figure as SVG: text stays text, black is the page's colour, the ground is clear.

    Args:
        figure: Of Matplotlib; its colours are changed.
        alt: What is to be seen, for those who do not see it.
    """
    for legend in figure.findobj(Legend):
        legend.get_frame().set(facecolor="none", edgecolor="none")
    for inside in (text for axes in figure.axes for text in axes.texts):
        if to_hex(inside.get_color()) == _BLACK:  # it stands on a colour of the figure's own
            inside.set_color(_OWN_BLACK)
    text = io.StringIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": alt}  # no two figures share an id
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the page's fonts have it
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    head, _, body = text.getvalue().partition("<svg")[2].partition(">")
    (box,) = re.findall(r'viewBox="[^"]*"', head)
    body = re.sub(r'(?<=<g) id="[^"]*"|^ +', "", body, flags=re.M)  # no link leads to a group
    body = body.replace("xlink:href", "href").replace(_BLACK, "currentColor")
    for blue in _BLUES:
        body = body.replace(blue, "var(--blue)")
    width = _SCALE * 72 * figure.get_figwidth()
    least = f'style="min-width:{_SMALLEST * width:.0f}pt"'
    label = f'role="img" aria-label="{Markup.escape(alt)}"'
    return Drawing(Markup(f"<svg {box} {label} {least}>{body}"), width)


# Images ------------------------------------------------------------------------------------------


def inline_image(image: "Tensor", alt: str, label: Label) -> InlineImage:
    """Return an image that stands in the page itself.

    Args:
        image: (1 or 3, H, W) in [0, 1].
        alt: What it is, for those who do not see it.
        label: Below it.
    """
    pixels = image.detach().float().cpu().clamp(0, 1).mul(255).round().byte()
    made = Image.fromarray(pixels.permute(1, 2, 0).squeeze(-1).numpy())
    exact = max(image.shape[1:]) <= _EXACT
    file = io.BytesIO()
    if exact:
        made.save(file, "PNG", optimize=True)
    else:
        wide = image.shape[2] > 1.5 * image.shape[1]  # two images side by side
        made.thumbnail((_SIDE * (1 + wide), _SIDE))
        made.save(file, "JPEG", quality=88, optimize=True)
    kind = "png" if exact else "jpeg"
    text = base64.b64encode(file.getvalue()).decode()
    return InlineImage(f"data:image/{kind};base64,{text}", alt, label, exact)
