"""The report from made-up run folders: whole, hostile, broken and bare ones."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from firstlight.errors import InputError
from firstlight.evaluate import write_report
from firstlight.evaluate.report.folder import read_run_folder
from firstlight.evaluate.report.page import render_page
from tests.evaluate.report.folders import HOSTILE, metrics_line, read, run_folder, write

VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """What a browser would make of a page, as far as tests ask; fails where tags do not close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["script"], ["style"]):
            self.text += data + " "

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(run: Path) -> Page:
    path = write_report(run)
    assert path == run / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_a_whole_run(tmp_path):
    page = page_of(run_folder(tmp_path / "run"))
    for said in (
        "banana",
        "Made from 2 photos in 60 steps and 4 min 23 s. Judged by 3 photos that it never saw.",
        "21.00", "48,231", "812 MB", "not computed: no weights",
        "After fitting each render's colours to its photo, PSNR is 23.50 dB.",
        "broken.jpg", "truncated", "lost.jpg", "no overlap", "2 photos set aside",
        "rates.means", "0.00016", "a processor", "Fitting", "3 min 45 s",
    ):  # fmt: skip
        assert said in page.text, said
    assert [image["data-kind"] for image in page.all("img") if "data-kind" in image] == [
        "photo",
        "render",
        "error",
    ] * 3
    assert sum(path.get("class") == "frustum test" for path in page.all("path")) == 2 * 3
    assert sum(path.get("class") == "frustum" for path in page.all("path")) == 2 * 2
    # Three curves over steps and over seconds, two maps.
    assert sum("data-x0" in svg for svg in page.all("svg")) == 6
    assert sum(circle.get("class") == "dot" for circle in page.all("circle")) == 2 * 3


def test_nothing_is_fetched_and_only_our_script_may_run(tmp_path):
    run = run_folder(tmp_path / "run", HOSTILE)
    html = write_report(run).read_text(encoding="utf-8")
    assert not re.search(
        r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[\w+/=]+", "", html), re.IGNORECASE
    )
    page = Page(html)
    for attributes in (attributes for _, attributes in page.tags):
        assert not any(name.startswith("on") or name in ("style", "href") for name in attributes)
        assert str(attributes.get("src", "data:")).startswith("data:")
    policy = str(page.all("meta")[1]["content"])
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy
    for tag in ("style", "script"):
        (code,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_hostile_names_are_only_text(tmp_path):
    page = page_of(run_folder(tmp_path / "run", HOSTILE))
    assert len(page.all("script")) == len(page.all("style")) == 1
    for name in HOSTILE:
        shown = name.encode("utf-8", "replace").decode()
        assert shown in page.text
        assert any(article["data-name"] == shown for article in page.all("article"))


def test_any_string_of_run_json_is_only_text(tmp_path):
    run = run_folder(tmp_path / "run")

    def poison(value: object) -> object:
        if isinstance(value, dict):
            return {f"{key}": poison(item) for key, item in value.items()} | {"<script>k": "<script>v"}
        if isinstance(value, list):
            return [poison(item) for item in value]
        return f"<script>{value}" if isinstance(value, str) else value

    write(run, "run.json", poison(read(run, "run.json")))
    write(run, "poses.json", poison(read(run, "poses.json")))
    page = page_of(run)
    assert len(page.all("script")) == 1
    assert "<script>a processor" in page.text and "<script>k" in page.text


def test_only_run_json_is_needed(tmp_path):
    write(tmp_path, "run.json", {})
    page = page_of(tmp_path)
    assert "Untitled capture" in page.text
    assert "It has not been compared with any photo." in page.text
    assert "There is no metrics.jsonl" in page.text and "There is no poses.json" in page.text
    assert not page.all("article") and not page.all("svg")


NONSENSE = (None, 7, "text", [None], {"psnr": "high"}, True, 1e300, float("nan"), -1)


@pytest.mark.parametrize("nonsense", NONSENSE, ids=str)
def test_any_value_may_be_nonsense(tmp_path, nonsense):
    run = run_folder(tmp_path / "run", ["one.jpg"], steps=3)
    whole, poses = read(run, "run.json"), read(run, "poses.json")

    def page(**parts: object) -> None:
        write(run, "run.json", whole | parts)
        Page(render_page(read_run_folder(run)))

    for key in whole:
        page(**{key: nonsense})
    for key in whole["summary"]:
        page(summary=whole["summary"] | {key: nonsense})
    for key in whole["per_photo"][0]:
        page(per_photo=[whole["per_photo"][0] | {key: nonsense}])
    for key in poses:
        write(run, "poses.json", poses | {key: nonsense})
        page()
    for key in poses["photos"][0]:
        write(run, "poses.json", poses | {"photos": [poses["photos"][0] | {key: nonsense}]})
        page()


def test_any_key_may_be_missing(tmp_path):
    run = run_folder(tmp_path / "run", ["one.jpg"], steps=3)
    whole = read(run, "run.json")
    for key in whole:
        write(run, "run.json", {name: value for name, value in whole.items() if name != key})
        page_of(run)


def test_training_photos_are_called_so(tmp_path):
    page = page_of(run_folder(tmp_path / "run", held_out=False))
    assert "Training photos (none was held out)" in page.text
    assert "PSNR, training photos" in page.text
    assert "No photo was held out" in page.text
    assert "never saw" not in page.text


def test_held_out_photos_stand_alone_when_there_are_any(tmp_path):
    run = run_folder(tmp_path / "run")
    about = read(run, "run.json")
    about["per_photo"][0]["held_out"] = False
    write(run, "run.json", about)
    assert [article["data-name"] for article in page_of(run).all("article")] == ["two.jpg", "three.jpg"]


def test_a_stopped_run_says_so(tmp_path):
    run = run_folder(tmp_path / "run")
    about = read(run, "run.json")
    write(run, "run.json", about | {"status": "stopped", "steps": 7000})
    assert "stopped at step 60 of 7,000" in page_of(run).text


def test_broken_lines_of_metrics_are_skipped_and_said(tmp_path):
    run = run_folder(tmp_path / "run")
    good = [json.dumps(metrics_line(step)) for step in (1, 2, 3)]
    bad = ['{"step": 4, "lo', "[1, 2]", '{"loss": 3}', "[" * 100_000, '{"step": NaN, "loss": 1}', "\0"]
    (run / "metrics.jsonl").write_text("\n".join([*good, *bad, ""]))
    page = page_of(run)
    assert "6 lines of metrics.jsonl could not be read" in page.text
    assert page.all("polyline")


@pytest.mark.parametrize("value", [0.0, 1e-300, 5.0, -5.0, 9e29, 1e-12])
def test_flat_curves_are_drawn(tmp_path, value):
    run = run_folder(tmp_path / "run")
    lines = [
        {"step": step, "seconds": step, "loss": value, "psnr": value, "gaussians": value} for step in (1, 2)
    ]
    (run / "metrics.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    points = [str(line["points"]) for line in page_of(run).all("polyline")]
    assert len(points) == 6
    assert not any("nan" in point or "inf" in point for point in points)


def test_a_clock_that_stood_still_leaves_its_curves_out(tmp_path):
    run = run_folder(tmp_path / "run")
    lines = [metrics_line(step) | {"seconds": float(step > 1)} for step in range(1, 200)]
    (run / "metrics.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert len(page_of(run).all("polyline")) == 3  # over steps alone


def test_pictures_outside_of_the_run_stay_outside(tmp_path):
    run = run_folder(tmp_path / "run")
    secret = tmp_path / "secret.png"
    secret.write_bytes((run / "renders/0000.photo.png").read_bytes())
    (run / "renders/link.png").symlink_to(secret)
    about = read(run, "run.json")
    about["per_photo"][0]["files"] = {
        "photo": "../secret.png",
        "render": str(secret),
        "error": "renders/link.png",
    }
    about["per_photo"][1]["files"] = {
        "photo": "renders/../../secret.png",
        "render": "a\0b",
        "error": "renders",
    }
    write(run, "run.json", about)
    page = page_of(run)
    assert page.text.count("lies outside of the run folder") == 4
    assert "is no path" in page.text and "renders: is missing" in page.text
    assert sum("data-kind" in image for image in page.all("img")) == 3


def test_a_name_too_long_for_a_file_is_named(tmp_path):
    run = run_folder(tmp_path / "run", ["one.jpg"])
    about = read(run, "run.json")
    about["per_photo"][0]["files"] = {"photo": "a" * 5000}
    write(run, "run.json", about)
    assert "aaa: is missing" in page_of(run).text


@pytest.mark.parametrize(
    "setting", ["/home/anna b/secret/depth", "C:\\anna\\secret\\depth", "anna/secret/depth/"]
)
def test_folders_stay_private(tmp_path, setting):
    run = run_folder(tmp_path / "run")
    about = read(run, "run.json")
    about["options"] = {"geometry": setting, "repair": setting}
    about["recipe"] |= {"geometry": setting, "paper": "Anna and others, and/or 2024"}
    about["recipe"]["losses"] += [{"part": "RepairedViews", "model": setting}]
    about["geometry"] = {"provider": setting}
    write(run, "run.json", about)
    page = page_of(run)
    assert "secret" not in page.text and page.text.count(" depth ") == 5
    assert "Anna and others, and/or 2024" in page.text


def test_broken_pictures_are_named(tmp_path):
    run = run_folder(tmp_path / "run")
    (run / "renders/0000.photo.png").write_bytes(b"")
    (run / "renders/0000.render.png").unlink()
    whole = (run / "renders/0000.error.png").read_bytes()
    (run / "renders/0000.error.png").write_bytes(whole[: len(whole) // 2])
    text = page_of(run).text
    assert "renders/0000.photo.png: cannot be read as a picture" in text
    assert "renders/0000.render.png: is missing" in text
    assert "renders/0000.error.png: cannot be read as a picture" in text


def test_a_picture_of_absurd_size_is_refused(tmp_path):
    run = run_folder(tmp_path / "run")
    path = run / "renders/0000.photo.png"
    header = bytearray(path.read_bytes())
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, "big")
    path.write_bytes(bytes(header))
    assert "renders/0000.photo.png: cannot be read as a picture" in page_of(run).text


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "\udcff", "[" * 100_000])
def test_a_broken_run_json_is_an_input_error(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"run\.json"):
        write_report(tmp_path)


def test_no_run_folder_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no run folder"):
        write_report(tmp_path / "nowhere")


def test_an_old_report_survives_when_the_new_one_cannot_be_made(tmp_path):
    run = run_folder(tmp_path / "run")
    write_report(run)
    before = (run / "report.html").read_bytes()
    (run / "run.json").write_text("{")
    with pytest.raises(InputError):
        write_report(run)
    assert (run / "report.html").read_bytes() == before


def test_the_page_itself_is_small(tmp_path):
    """Without its pictures: curves of a long fit and 2000 points too."""
    run = run_folder(tmp_path / "run", steps=3000)
    poses = read(run, "poses.json")
    poses["points"] = [[i % 17, i % 19, i % 23, i % 256, i * 3 % 256, i * 7 % 256] for i in range(20_000)]
    write(run, "poses.json", poses)
    html = write_report(run).read_text(encoding="utf-8")
    assert len(re.sub(r"base64,[\w+/=]+", "", html)) < 200_000


def test_many_photos_make_smaller_pictures(tmp_path):
    page = page_of(run_folder(tmp_path / "run", [f"{place:02d}.jpg" for place in range(60)]))
    assert "48 of 60 photos, evenly spaced" in page.text
    assert "The other 40" in page.text
    names = [article["data-name"] for article in page.all("article")]
    assert len(names) == 48 and names[0] == "00.jpg" and names[-1] == "59.jpg"
