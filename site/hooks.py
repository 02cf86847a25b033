"""MkDocs sees docs/ alone: bring in the pages of the root, and each file of the project that a page links to.

A page is written for the repository, where `../template.yaml` leads somewhere. In the site such a file is a page of its
own, with its text as code, which no menu and no search shows.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent
LINK = re.compile(r"(\]\()([^)\s#]+)([^)\s]*\))")
OUTSIDE = re.compile(r"[a-z]+:|/")  # a link to another site, or an absolute one
LANGUAGES = {".py": "python", ".sql": "sql", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root, the files that pages link to, and what the site is drawn with."""
    for page in sorted(ROOT.glob("*.md")):
        files.append(File.generated(config, _place(page), content=page.read_text()))
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for _, link, _ in LINK.findall(page.read_text()):
            target = _target(page, link)
            if target and target.is_file() and _place(target) not in files.src_uris:
                files.append(File.generated(config, _place(target), content=_as_page(target)))
    for asset in ("site.css", "mermaid.min.js"):
        folder = HERE if asset == "site.css" else ROOT / ".sluice"
        files.append(File.generated(config, f"assets/{asset}", abs_src_path=str(folder / asset)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead each link to where its target is in the site."""
    uri = page.file.src_uri
    if uri.startswith("source/"):
        return markdown
    source = ROOT / ("README.md" if uri == "index.md" else uri)
    source = source if source.exists() and page.file.generated_by else ROOT / "docs" / uri

    def lead(link: re.Match[str]) -> str:
        target = _target(source, link[2])
        if target is None:
            return link[0]
        return f"{link[1]}{os.path.relpath(_place(target), PurePosixPath(uri).parent)}{link[3]}"

    return LINK.sub(lead, markdown)


def _target(page: Path, link: str) -> Path | None:
    """Return the file that a page's link leads to, or None if it leads out of the project."""
    return None if OUTSIDE.match(link) else Path(os.path.normpath(page.parent / link))


def _place(file: Path) -> str:
    """Return where a file of the project is in the site."""
    name = file.relative_to(ROOT)
    if name.parts[0] == "docs":
        return name.relative_to("docs").as_posix()
    if name.suffix == ".md" and len(name.parts) == 1:
        return "index.md" if name.name == "README.md" else name.name
    return f"source/{name.as_posix()}.md"


def _as_page(file: Path) -> str:
    language = LANGUAGES.get(file.suffix, "text")
    head = f"---\nsearch: {{ exclude: true }}\ntitle: {file.name}\n---\n"
    return f"{head}# `{file.relative_to(ROOT)}`\n\n~~~~~ {language}\n{file.read_text()}\n~~~~~\n"
