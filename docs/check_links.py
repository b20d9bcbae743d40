"""Check images, links and anchors of a built site: ``python docs/check_links.py SITE``."""

import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Attribute by which an element loads a file; that of ``a`` is followed by a click.
LOADS = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href"}
CONFIG = Path(__file__).parents[1] / "zensical.toml"
#: Path of the published site, with which links of 404.html begin.
BASE = urlsplit(tomllib.loads(CONFIG.read_text(encoding="utf-8"))["project"]["site_url"]).path


class Page(HTMLParser):
    """Anchors of a page, and its links as (tag, address)."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors, self.links = {""}, list[tuple[str, str]]()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the anchors and the address of an element."""
        values = dict(attrs)
        if values.get("rel") == "canonical":  # names the page itself
            return
        self.anchors.add(values.get("id") or "")
        address = values.get(LOADS.get(tag, "href" if tag == "a" else ""))
        if address is not None:
            self.links.append((tag, address))


def faults(site: Path, page: Path, pages: dict[Path, Page]) -> list[str]:
    """Return what is wrong with the links of a page."""
    result = []
    for tag, address in pages[page].links:
        url = urlsplit(address)
        path = unquote(url.path)
        base = site if path.startswith(BASE) else page.parent
        target = (base / path.removeprefix(BASE)).resolve() if path else page
        target = target / "index.html" if target.is_dir() else target
        if url.scheme or url.netloc:
            result += [f"loads {address}"] if tag in LOADS and url.scheme != "data" else []
        elif not target.is_file() or not target.is_relative_to(site):
            result.append(f"{address} leads nowhere")
        elif target in pages and unquote(url.fragment) not in pages[target].anchors:
            result.append(f"{address} has no such anchor")
    return [f"{page.relative_to(site)}: {fault}" for fault in result]


if __name__ == "__main__":
    site = Path(sys.argv[1]).resolve()
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    sys.exit("\n".join(fault for page in pages for fault in faults(site, page, pages)) or 0)
