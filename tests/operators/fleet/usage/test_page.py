"""The page at the end of the usage experiment: whole, readable, and safe to open."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from thalweg import Graph
from thalweg.operators import sources
from thalweg.operators.fleet import (
    ProbeResult,
    sweep_summaries,
    usage_database,
    usage_page,
    usage_samples,
)
from thalweg.operators.fleet.usage._plot import Series, plot, thinned
from thalweg.runtime.contracts import MisconfiguredError

from ..results import SWEEP, result

EVIL = '<script>alert("1")</script>&\x1b[31m\u202e'
VOID = {"meta", "line"}


class Strict(HTMLParser):
    """Fails for an element that is not closed; keeps what there is."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def printed(number: int) -> str:
    uptime = 1000.0 + 900 * number
    return (
        f"usage=1\nboot_id=a\nuptime={uptime}\nidle={uptime}\nboot={SWEEP}\ncpus=2\nmemory=1000\n"
        f"memory_free=250\nfilesystem=4000000 2000000 /\ninterface=e physical aa\n"
        f"traffic=e {900 * number} 0\nsessions=known\nsession=u p/0 @1\nend=1\n"
    )


def page_of(path: Path, sweeps: int, **options: str) -> str:
    records: list[ProbeResult] = []
    for number in range(sweeps):
        at = SWEEP + 900 * number
        records += [result(EVIL, sweep=at, of=2, stdout=printed(number))]
        records += [result("m2", "unreachable", sweep=at, of=2)]
    graph = Graph("usage")
    results = graph.read("results", sources.records(records))
    usage_database(
        path,
        results=results,
        sweeps=results.via("sums", sweep_summaries(), volatile=True),
        samples=results.via("measured", usage_samples(), volatile=True),
    )
    graph.run()
    return usage_page(path, **options)


def parsed(page: str) -> Strict:
    parser = Strict()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_it_shows_what_was_found(tmp_path: Path) -> None:
    page = page_of(tmp_path / "usage.db", 5)
    text = " ".join(parsed(page).words)
    assert "5 sweeps of 2 machines, from 2004-04-14 13:13 to 2004-04-14 14:13 UTC." in text
    for title in ("Machines", "CPU idle", "Memory load", "Free disk", "Users", "Traffic"):
        assert f"{title}, " in text
    assert page.count("<svg") == 6
    assert "Machines: 1 to 2 per sweep" in page
    assert "CPU idle: 50 to 50 % of the time, mean" in page
    rows = re.findall(r"<tr><td>(.*?)</td>(.*?)</tr>", page)
    cells = {name: re.findall(r"<td>(.*?)</td>", rest) for name, rest in rows}
    assert cells["uptime %"] == ["0.00", "50.00", "50.00"]
    assert cells["m2"] == ["5", "0", "0.00", "2004-04-14 14:13"]


def test_nothing_that_a_machine_or_a_user_says_becomes_a_part_of_the_page(tmp_path: Path) -> None:
    page = page_of(tmp_path / "usage.db", 2, title=f"</title>{EVIL}")
    found = parsed(page)
    assert "script" not in found.elements
    assert "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;" in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_it_asks_for_nothing_from_elsewhere_and_runs_nothing(tmp_path: Path) -> None:
    page = page_of(tmp_path / "usage.db", 2)
    found = parsed(page)
    assert not found.elements & {"script", "link", "img", "iframe", "object", "image", "use", "a"}
    names = {name for name, _ in found.attributes}
    assert not names & {"src", "href", "xlink:href", "style"}
    assert not any(name.startswith("on") for name in names)
    assert "url(" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page


def test_it_is_dark_where_the_reader_is(tmp_path: Path) -> None:
    page = page_of(tmp_path / "usage.db", 1)
    assert "color-scheme:light dark" in page
    assert "@media(prefers-color-scheme:dark)" in page


def test_an_experiment_without_sweeps_has_a_page(tmp_path: Path) -> None:
    page = page_of(tmp_path / "usage.db", 0)
    assert "No sweep has ended." in page
    assert page.count("Nothing was measured.") == 6
    parsed(page)


def test_a_database_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="cannot read"):
        usage_page(tmp_path / "none.db")


def coordinates(made: str) -> list[tuple[float, float]]:
    path = re.search(r'class="line0" d="(.*?)"', made)
    assert path is not None
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path[1])]


def test_a_plot_goes_from_left_to_right_and_larger_is_higher() -> None:
    made = plot("t", "u", [Series("s", [(0, 0.0), (900, 50.0), (1800, 100.0)])])
    assert coordinates(made) == [(56.0, 192.0), (452.0, 102.0), (848.0, 12.0)]


def test_a_gap_is_a_gap() -> None:
    made = plot("t", "u", [Series("s", [(0, 1.0), (900, None), (1800, 1.0), (2700, 1.0)])])
    path = re.search(r'class="line0" d="(.*?)"', made)
    assert path is not None
    assert re.sub(r"[\d. ]", "", path[1]) == "MhMhL"


@pytest.mark.parametrize("value", [0.0, 1e-9, 1.0, 3.7, 99.9, 100.0, 1e15])
@pytest.mark.parametrize("times", [(0.0,), (0.0, 60.0), (0.0, 9e9)])
def test_any_value_over_any_time_stays_inside(value: float, times: tuple[float, ...]) -> None:
    made = plot("t", "u", [Series("s", [(time, value) for time in times])])
    for x, y in coordinates(made):
        assert 56 <= x <= 848
        assert 12 <= y <= 192
    assert made.count('text-anchor="middle"') in range(1, 11)
    parsed(made)


def test_many_points_are_thinned_to_what_can_be_seen() -> None:
    points = [(float(n), float(n % 2)) for n in range(100_000)]
    made = thinned(points)
    assert len(made) == 800
    assert all(value is not None and 0.49 < value < 0.51 for _, value in made)
    assert len(plot("t", "u", [Series("s", points)])) < 20_000
