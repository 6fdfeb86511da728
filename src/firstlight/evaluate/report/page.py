"""``report.html``: one file that needs no network, no server and nothing beside it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from firstlight.evaluate.report.details import (
    aside_section,
    map_section,
    progress_section,
    settings_section,
    time_section,
)
from firstlight.evaluate.report.folder import RunFolder, read_run_folder
from firstlight.evaluate.report.gallery import gallery, held_out_names, judged_photos
from firstlight.evaluate.report.headline import headline, title
from firstlight.evaluate.report.markup import Html, element, join
from firstlight.files.atomic import atomic_write
from firstlight.policy import allowing

REPORT_FILE = "report.html"


def write_report(run: Path) -> Path:
    """Write ``report.html`` into the run folder.

    It is made from ``run.json``, ``metrics.jsonl``, ``poses.json`` and ``renders/`` there. Only ``run.json``
    is needed; what else is missing or broken stays out and is named on the page. Nothing in the folder can
    run as script: strings are escaped, and the page's policy allows no script but its own.
    InputError when ``run`` is no run folder or cannot be written to.
    """
    page = render_page(read_run_folder(run))
    path = run / REPORT_FILE
    with atomic_write(path) as temporary:
        # A photo's name may hold what UTF-8 cannot (half a surrogate pair): it is shown as '?'.
        temporary.write_text(page, encoding="utf-8", errors="replace")
    return path


def render_page(folder: RunFolder) -> str:
    """The page as text."""
    judged, held_out = judged_photos(folder.run)
    body = [
        headline(folder, judged, held_out),
        gallery(folder, judged, held_out),
        progress_section(folder.metrics),
        map_section(folder.poses, held_out_names(folder.run)),
        time_section(folder.run),
        aside_section(folder),
        settings_section(folder.run),
    ]
    name = f"{title(folder.run)} · firstlight report"
    return document(name, join(*body), resource("style.css"), resource("script.js"))


def document(name: str, body: Html, style: Html, script: Html) -> str:
    """A page titled ``name`` that needs nothing but itself and runs no script but ``script``."""
    policy = (
        f"default-src 'none'; img-src data:; style-src {allowing(style)}; script-src {allowing(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", name),
        element("style", style),
    ]
    main = element("main", body)
    return "<!doctype html>\n" + element(
        "html", element("head", *head), element("body", main, element("script", script)), lang="en"
    )


def resource(name: str, package: str = __package__ or "") -> Html:
    """A style sheet or script that lies in ``package``."""
    return Html(files(package).joinpath(name).read_text(encoding="utf-8"))
