"""The page shows what happened, and nothing that came from the web is ever active in it."""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hostile_texts import ADDRESSES, PAYLOADS
from parsed_page import parse

from enrich.report import DoubleCharge, Manifest, ReportCollector, Sample
from enrich.report.html import ATTRIBUTES, ELEMENTS, document, el, link, web_address
from enrich.text.hostile import clean


def page_of(manifest: Manifest, text: str) -> str:
    """A page with `text` in every place that the web, the user or the service can write to."""
    receipt = replace(
        manifest.receipt,
        runs_by_processor={text: 1204},
        double_charges=(DoubleCharge(task_key=text, run_ids=(text,), usd=Decimal(1)),),
    )
    manifest = replace(
        manifest,
        name=text, version=text, config=text, table=text, output=text, review=text, report=text,
        stopped=f"x{text}", processors=(text, "x"), fields={text: text}, groups=(text,), sandbox=True,
        receipt=receipt,
    )  # fmt: skip
    collector = ReportCollector([text])
    citation = {"url": text, "title": text, "excerpts": [f"x{text}"]}
    sample = Sample(
        row=1,
        inputs={text: text},
        value=f"x{text}",
        reasoning=f"x{text}",
        citations=[citation, {"url": text}, {"title": None, "url": None, "excerpts": text}] * 2,
        processor=f"x{text}",
    )
    for value in (f"x{text}", [text], {text: text}):
        changed = replace(sample, value=value)
        collector.add(text, "review", text, f"x{text}", sample=lambda changed=changed: changed)
        collector.add(text, "accepted", text, f"x{text}", sample=lambda changed=changed: changed)
    return collector.render(manifest)


def test_there_are_enough_different_payloads() -> None:
    assert len({*PAYLOADS}) == len(PAYLOADS) >= 150


@pytest.mark.parametrize("payload", [text for text in PAYLOADS if text], ids=ascii)
def test_a_hostile_text_changes_nothing_but_text(manifest: Manifest, payload: str) -> None:
    hostile, harmless = parse(page_of(manifest, payload)), parse(page_of(manifest, "harmless"))
    assert hostile.elements == harmless.elements
    assert hostile.odd == harmless.odd == []
    assert hostile.open == []
    assert not [value for name, value in hostile.values if name == "href"]
    shown = clean(payload).strip()
    assert sum(shown in text for text in hostile.texts) >= 15


@pytest.mark.parametrize("payload", PAYLOADS, ids=ascii)
def test_no_control_or_bidi_character_is_in_the_page(manifest: Manifest, payload: str) -> None:
    html = page_of(manifest, payload)
    html.encode()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", html)


def test_only_the_templates_elements_and_attributes_are_used(manifest: Manifest, collector: ReportCollector) -> None:
    page = parse(collector.render(manifest))
    assert {tag for tag, _ in page.elements} <= ELEMENTS
    assert {name for _, names in page.elements for name in names} <= ATTRIBUTES
    assert not {"script", "img", "iframe", "object", "embed", "form", "input", "link", "base"} & ELEMENTS
    assert not {"src", "style", "srcset", "action", "formaction", "data"} & ATTRIBUTES
    assert not [name for name in ATTRIBUTES if name.startswith("on")]


def test_every_link_is_a_web_address_that_learns_nothing(manifest: Manifest, collector: ReportCollector) -> None:
    page = parse(collector.render(manifest))
    addresses = {value for name, value in page.values if name == "href"}
    assert addresses == {"https://www.siemens.com/imprint", "https://en.wikipedia.org/wiki/Siemens"}
    assert {names for tag, names in page.elements if tag == "a"} == {("href", "rel")}
    assert {value for name, value in page.values if name == "rel"} == {"noreferrer nofollow noopener"}


@pytest.mark.parametrize("address", ADDRESSES, ids=ascii)
def test_what_is_no_plain_web_address_is_no_link(address: str) -> None:
    assert web_address(address) is None
    assert "<a" not in document("x", link(address, "text"), css="", policy="")


@pytest.mark.parametrize(
    "address",
    [
        "https://example.com",
        "HTTP://example.com:8080/a?b=c&d=%20#e",
        "https://münchen.example/straße",
        "https://[::1]/",
        "https://en.wikipedia.org/wiki/A_(b)@c",
    ],
)
def test_a_plain_web_address_is_a_link(address: str) -> None:
    assert web_address(address) == address


def test_the_policy_allows_the_packages_stylesheet_and_nothing_else(
    manifest: Manifest, collector: ReportCollector
) -> None:
    html = collector.render(manifest)
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in next(value for _, value in parse(html).values if "default-src" in value).split(";")
    )
    css = re.search(r"<style>(.*)</style>", html, re.DOTALL)
    assert css is not None
    digest = base64.b64encode(hashlib.sha256(css[1].encode()).digest()).decode()
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert html.index("Content-Security-Policy") < html.index("<style>")
    assert not re.search(r"url\(|@import|expression|behavior", css[1])


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("script", {}),
        ("a", {}),
        ("style", {}),
        ("p", {"onclick": "x"}),
        ("p", {"style": "x"}),
        ("p", {"href": "x"}),
    ],
)
def test_an_active_element_or_attribute_cant_be_made(name: str, attributes: Mapping[str, str]) -> None:
    with pytest.raises(ValueError, match="of the report"):
        el(name, **attributes)


def test_a_stylesheet_cant_end_its_element() -> None:
    with pytest.raises(ValueError, match="stylesheet"):
        document("x", css="</style><script>", policy="")


def texts(html: str) -> str:
    return " ".join("".join(parse(html).texts).split())


def test_the_page_says_what_came_out_and_what_it_cost(manifest: Manifest, collector: ReportCollector) -> None:
    steps = ("`enrich run c.yaml <t>.csv` goes on", "12 rows failed")
    said = texts(collector.render(replace(manifest, doubtful=600, next=steps)))
    for text in (
        "NextWhat can be done now. Commands are complete.enrich run c.yaml <t>.csv goes on12 rows failed",
        "companies.csv → companies.enriched.csv",
        "2026-03-01 22:04 UTC, 27 min 12 s",
        "Stopped earlythe budget of $45.65 is reached",
        "Answers accepted87%5,408 of 6,250",
        "Waiting for a person600lines of the review file, for 619 answers",
        "Cost so far$54.08$0.01 per accepted answer, 1,304 runs",
        "This command$45.401,204 runs, $0.25 more at stake",
        "core1,000$25.00pro204$20.40",
        "medium confidence; the config asks for high140",
        "Munich, Germany",
        "Imprint | Siemenswww.siemens.com",
        "80333 Munich",
    ):
        assert text in said


@pytest.mark.parametrize(
    ("changes", "banner", "shown"),
    [
        pytest.param({}, "Sandbox", False, id="the service"),
        pytest.param({"sandbox": True}, "Sandbox", True, id="the sandbox"),
        pytest.param({"stopped": ""}, "Stopped early", False, id="done"),
        pytest.param({}, "Stopped early", True, id="stopped"),
        pytest.param({}, "Paid twice", False, id="paid once"),
    ],
)
def test_banners(
    manifest: Manifest, collector: ReportCollector, changes: Mapping[str, Any], banner: str, shown: bool
) -> None:
    assert (banner in texts(collector.render(replace(manifest, **changes)))) is shown


def test_a_double_charge_has_a_banner(manifest: Manifest, collector: ReportCollector) -> None:
    charge = DoubleCharge(task_key="3fa2", run_ids=("a", "b"), usd=Decimal("0.1"))
    receipt = replace(manifest.receipt, double_charges=(charge, charge))
    said = texts(collector.render(replace(manifest, receipt=receipt)))
    assert "Paid twice2 runs paid for 1 question that was paid already, $0.20 too much." in said


def test_bars_fill_exactly_their_width(manifest: Manifest, collector: ReportCollector) -> None:
    html = collector.render(manifest)
    for bar in re.findall(r"<svg.*?</svg>", html):
        widths = [float(width) for width in re.findall(r'width="([\d.]+)%" height="100%"', bar)]
        starts = [float(x) for x in re.findall(r'x="([\d.]+)%"', bar)]
        assert sum(widths) == pytest.approx(100, abs=0.01)
        assert starts == sorted(starts)
        assert starts[0] == 0


def test_the_same_answers_give_the_same_page(manifest: Manifest, sample: Sample) -> None:
    def page() -> str:
        collector = ReportCollector(["a", "b"])
        collector.add("b", "review", 0.7, "because", sample=lambda: sample)
        return collector.render(manifest)

    assert page() == page()


@pytest.mark.parametrize(
    ("confidence", "word"),
    [
        ("high", "high"),
        (0.9, "high"),
        (0.89, "medium"),
        (0.6, "medium"),
        (0.1, "low"),
        (None, "none"),
        ("?", "none"),
    ],
)
def test_a_confidence_in_numbers_is_shown_in_words(
    manifest: Manifest, confidence: str | float | None, word: str
) -> None:
    collector = ReportCollector(["a"])
    collector.add("a", "accepted", confidence)
    assert f"Confidence of a: {word} 1" in collector.render(manifest)


def test_a_sample_is_made_only_if_it_is_shown(sample: Sample) -> None:
    made = []

    def make() -> Sample:
        made.append(1)
        return sample

    collector = ReportCollector(["a"], samples=4)
    for status in ("accepted", "review", "pending", "failed") * 100:
        collector.add("a", status, sample=make)
    assert len(made) == 4


def test_memory_does_not_grow_with_the_reasons(manifest: Manifest) -> None:
    collector = ReportCollector(["a"])
    for number in range(10_000):
        collector.add("a", "failed", reason=f"error {number} " + "x" * 10_000)
    html = collector.render(manifest)
    assert len(html) < 40_000
    assert "other reasons9,9" in texts(html)


def test_a_table_without_rows_has_a_page(manifest: Manifest) -> None:
    empty = replace(manifest.receipt, rows_in=0, rows={}, answers_wanted=0, answers={}, runs_by_processor={})
    page = parse(ReportCollector(["a"]).render(replace(manifest, receipt=empty, output="", stopped="")))
    assert "Nothing was held back." in page.texts
    assert page.odd == page.open == []


def test_counting_many_alike_is_the_same_as_one_by_one(manifest: Manifest) -> None:
    one_by_one, at_once = ReportCollector(["a"]), ReportCollector(["a"])
    for _ in range(5):
        one_by_one.add("a", "withheld", "low", "because")
    at_once.add("a", "withheld", "low", "because", count=5)
    assert one_by_one.render(manifest) == at_once.render(manifest)


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        (("accepted", "review"), "Answers that stand in the table and wait for a person, by reason."),
        (("kept",), "Answers that have an older answer in their place, by reason."),
        (("withheld", "failed"), "Answers that are not in the table, by reason."),
        (
            ("review", "invalid"),
            "Answers that stand in the table and wait for a person, or that are not in the table, by reason.",
        ),
        (("accepted", "human"), "Nothing was held back."),
    ],
)
def test_what_stands_in_the_table_is_not_said_to_be_missing(
    manifest: Manifest, statuses: tuple[str, ...], said: str
) -> None:
    collector = ReportCollector(["city"])
    for status in statuses:
        collector.add("city", status, "medium", f"why it is {status}")
    assert said in parse(collector.render(manifest)).texts
