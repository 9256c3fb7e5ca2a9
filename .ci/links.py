"""Check a built site without a network: every link leads somewhere, nothing comes from elsewhere.

Run it as `python .ci/links.py build/site`.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the links, the files and the anchors of an opening tag."""
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if "href" in found:
            (self.links if tag == "a" else self.loads).append(found["href"])
        self.loads += [found[name] for name in ("src", "data-src", "poster") if name in found]


def faults(site: Path) -> list[str]:
    """Return a sentence for each link that leads nowhere and each file fetched from elsewhere."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    found, sheets = [], set()
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        for target in page.loads:
            if urlsplit(target).scheme in ("http", "https") or target.startswith("//"):
                found.append(f"{name} loads {target}")
        for target in {*page.links, *page.loads}:
            url = urlsplit(target)
            if url.scheme or url.netloc:
                continue
            to = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not to.is_file():
                found.append(f"{name} links to {target}, which is not there")
            elif to.suffix == ".css":
                sheets.add(to)
            elif to in pages and unquote(url.fragment) not in pages[to].anchors:
                found.append(f"{name} links to {target}, where there is no such anchor")
    for sheet in sorted(sheets):
        text = sheet.read_text(encoding="utf-8")
        for target in re.findall(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)", text):
            found.append(f"{sheet.relative_to(site.resolve())} loads {target}")
    return found


if __name__ == "__main__":
    messages = faults(Path(sys.argv[1]))
    print("\n".join(messages) or "Every link and anchor is there; nothing comes from elsewhere.")
    sys.exit(bool(messages))
