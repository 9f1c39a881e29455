"""A real browser runs nothing of a page full of hostile texts, and asks the network for nothing.

Without a browser these tests are skipped; with ENRICH_REQUIRE_BROWSER=1 they fail instead.
"""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hostile_texts import PAYLOADS
from parsed_page import parse

from enrich.report import Manifest, ReportCollector, Sample

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def browser() -> str:
    """The path of a Chromium."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    reason = f"no browser found: none of {', '.join(BROWSERS)}"
    if os.environ.get("ENRICH_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Listener:
    """A server on this machine that notes who asks it for anything."""

    address: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def listener() -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listener.asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        listener = Listener(f"127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield listener
        finally:
            server.shutdown()
            thread.join()


def dom(browser: str, page: Path, profile: Path) -> str:
    """The page's document after the browser has loaded it and given its scripts time to run."""
    flags = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --disable-extensions --virtual-time-budget=1000 --dump-dom"
    )
    command = [browser, *flags.split(), f"--user-data-dir={profile}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    return done.stdout.decode()


def hostile_page(manifest: Manifest, listener: Listener) -> str:
    """A page with every payload in every place; what runs renames the page, what loads asks the listener."""
    collector = ReportCollector(
        [
            payload.replace("x()", "document.title=1").replace("evil.example", listener.address)
            for payload in (*PAYLOADS, f"<img src=http://{listener.address}/loaded>")
        ]
    )
    for text in collector.fields:
        sample = Sample(
            row=1,
            inputs={"a": text},
            value=text,
            reasoning=text,
            citations=[{"url": text, "title": text, "excerpts": [text]}],
            processor=text,
        )
        collector.add(text, "review", text, text, sample=lambda sample=sample: sample)
    return collector.render(manifest)


@pytest.mark.parametrize("policy", [True, False], ids=["with its policy", "by escaping alone"])
def test_nothing_runs_and_nothing_loads(
    browser: str, manifest: Manifest, listener: Listener, tmp_path: Path, policy: bool
) -> None:
    html = hostile_page(manifest, listener)
    if not policy:
        html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    (tmp_path / "page.html").write_text(html, "utf-8")
    loaded = dom(browser, tmp_path / "page.html", tmp_path / "profile")
    assert "<title>companies · enrichment report</title>" in loaded
    assert parse(loaded).elements == parse(html).elements
    assert listener.asked == []


def test_the_browser_would_run_and_load_what_is_not_escaped(
    browser: str, manifest: Manifest, listener: Listener, tmp_path: Path
) -> None:
    html = re.sub(r"<meta[^>]*>", "", ReportCollector([]).render(manifest))
    planted = f"<script>document.title = 'owned'</script><img src=http://{listener.address}/loaded>"
    (tmp_path / "page.html").write_text(html.replace("</main>", f"{planted}</main>"), "utf-8")
    assert "<title>owned</title>" in dom(browser, tmp_path / "page.html", tmp_path / "profile")
    assert listener.asked == ["/loaded"]
