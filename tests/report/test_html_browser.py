"""The report in a real browser: it opens, sorts, filters and zooms, runs nothing of the host's and asks nobody for anything."""

import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.report.html import ReportData, write_report
from fimkit.report.html_next import render_next
from tests.report.browser import Browser, browsing
from tests.report.report_place import HOSTILE, MADE_NS, hostile_report, incident_report, investigation, many_findings

OPENED_WITHIN_S = 4.0  # two are asked for, and `benchmarks/report` holds to them; the machine of the tests may be busy


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as window:
        yield window


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    write_report(folder / "incident.html", incident_report())
    write_report(folder / "hostile.html", hostile_report())
    write_report(folder / "empty.html", ReportData(host="web01", made_ns=MADE_NS))
    write_report(folder / "many.html", replace(incident_report(), findings=many_findings(10_000)))
    return folder


@pytest.fixture
def page(browser: Browser, pages: Path) -> Browser:
    browser.size(1280)
    browser.prefer("light")
    browser.open(pages / "incident.html")
    return browser


def paths(page: Browser) -> list[str]:
    return page.texts("#table .path")


def count(page: Browser) -> str:
    return page.texts("#count")[0]


def test_the_incident_opens_whole_and_asks_nobody(browser: Browser, pages: Path) -> None:
    browser.complaints()
    browser.open(pages / "incident.html")
    assert len(paths(browser)) == len(investigation().findings)
    assert browser.texts(".card b") == ["4", "1", "25", "1", "3"]
    assert browser.requests() == [(pages / "incident.html").as_uri()]
    assert browser.complaints() == []


def test_what_to_do_and_the_day_can_be_read_without_opening_anything(page: Browser) -> None:
    steps = page.texts(".next li")
    assert steps == list(render_next(incident_report()))
    assert "34 findings, 2026-11-22 03:49:00 to 03:49:10; a bar is one second" in page.texts("#when-hint")[0]


def test_headings_sort_both_ways_and_say_so(page: Browser) -> None:
    assert page.texts("#table .badge")[0] == "critical"
    page.click('[data-sort="severity"]')
    assert page.texts("#table .badge")[0] == "info"
    page.click('[data-sort="path"]')
    assert paths(page) == sorted(paths(page))
    page.click('[data-sort="path"]')
    assert paths(page) == sorted(paths(page), reverse=True)
    sorts = page.js("return [...document.querySelectorAll('#table thead th')].map((one) => one.getAttribute('aria-sort'))")
    assert sorts == ["none", "none", "none", "descending", "none", "none", "none"]
    page.click('[data-sort="time"]')
    times = page.texts("#table .row time")
    assert times == sorted(times)


def test_a_card_shows_its_severity_alone_and_a_chip_takes_it_back(page: Browser) -> None:
    page.click('.card[data-severity="4"]')
    assert set(page.texts("#table .badge")) == {"critical"}
    assert count(page) == "4 of 34 findings"
    page.click(".chip")
    assert count(page) == "34 findings"


def test_search_looks_into_paths_commands_reasons_and_ids(page: Browser) -> None:
    page.type("#search", "chmod")
    page.until(lambda: "of 34" in count(page))
    expected = [
        finding for finding in investigation().findings
        if any("chmod" in f"{actor.exe!r} {actor.cmdline}" for actor in finding.actors)
    ]  # fmt: skip
    assert len(paths(page)) == len(expected) > 0
    page.click('#controls button[type="reset"]')
    page.until(lambda: count(page) == "34 findings")
    page.type("#search", investigation().findings[0].id)
    page.until(lambda: count(page) == "1 of 34 findings")


def test_lists_filter_by_kind_and_attribution_together(page: Browser) -> None:
    page.choose("#f-kind", "modified")
    page.choose("#f-attribution", "unattributed")
    expected = [
        finding for finding in investigation().findings
        if finding.kind.value == "modified" and finding.attribution.value == "unattributed"
    ]  # fmt: skip
    assert len(paths(page)) == len(expected) > 0


def test_a_row_opens_to_states_command_reasons_and_events(page: Browser) -> None:
    finding = next(one for one in investigation().findings if one.before and one.after and one.actors and "mode" in one.changed)
    assert finding.before is not None
    assert finding.after is not None
    page.click(f'[data-id="{finding.id}"] .open')
    assert page.js("return document.activeElement.getAttribute('aria-expanded')") == "true"
    text = page.texts(f'[data-id="{finding.id}"] + .detail')[0]
    wanted = [f"{finding.before.mode:04o}", f"{finding.after.mode:04o}", finding.actors[0].cmdline, finding.actors[0].event,
              str(finding.actors[0].ppid), *finding.reasons, *finding.evidence, finding.id]  # fmt: skip
    wanted.append(f"{finding.severity.value}: {finding.kind.value}, on a path of the {finding.tier.value} tier")
    assert [word for word in wanted if word not in text] == []
    page.click(f'[data-id="{finding.id}"] .open')
    assert page.js("return document.querySelector(arguments[0]).hidden", f'[data-id="{finding.id}"] + .detail')


def test_the_timeline_zooms_by_drag_button_and_key_and_filters_what_is_out_of_view(page: Browser) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    assert len(page.js("return document.querySelectorAll('#timeline .blind')")) == 1
    whole = page.js("return document.querySelector('#timeline svg').getAttribute('aria-label')")
    chart = page.driver.find_element(By.CSS_SELECTOR, "#timeline svg")
    page.js("arguments[0].scrollIntoView({block: 'center'})", chart)
    ActionChains(page.driver).move_to_element_with_offset(chart, 0, 0).click_and_hold().move_by_offset(350, 0).release().perform()
    later = len(paths(page))
    assert 0 < later < 34
    assert page.js("return document.querySelector('#timeline svg').getAttribute('aria-label')") != whole
    page.click('[data-zoom="all"]')
    assert count(page) == "34 findings"
    for _ in range(3):
        page.click('[data-zoom="in"]')
    assert len(paths(page)) < 34
    page.js("document.querySelector('#timeline svg').focus()")
    ActionChains(page.driver).send_keys("0").perform()
    assert count(page) == "34 findings"
    assert page.js("return document.querySelector('#timeline svg').getAttribute('aria-label')") == whole


def test_the_treemap_opens_a_folder_and_the_crumbs_lead_back(page: Browser) -> None:
    page.click('[data-path="/srv/fim/tree/sbin"]')
    assert len(paths(page)) == 3
    assert all(path.startswith("/srv/fim/tree/sbin/") for path in paths(page))
    page.click('#crumbs [data-folder=""]')
    assert count(page) == "34 findings"


def test_people_are_ranked_by_severity_and_filter(page: Browser) -> None:
    assert page.texts(".person .name")[0] == "auid 1002"  # two critical ones; others made many more
    assert page.texts(".person .counts")[0] == "2 critical"
    page.click('[data-actor="auid 1002"]')
    assert len(paths(page)) == 2
    page.click('[data-actor="auid 1002"]')
    assert len(paths(page)) == 34


def test_an_hour_of_the_heat_map_filters(page: Browser) -> None:
    assert len(page.js("return document.querySelectorAll('[data-cell]')")) == 1
    page.click("[data-cell]")
    assert page.js("return document.querySelector('[data-cell]').getAttribute('aria-pressed')") == "true"
    assert len(paths(page)) == 34


def test_everything_that_acts_can_be_reached_by_the_keyboard_and_has_a_name(page: Browser) -> None:
    page.click("#table .open")
    nameless = page.js(
        "return [...document.querySelectorAll('button, select, input, a, [role=button], [onclick], svg')].filter((one) => {"
        " const own = one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.[0]?.textContent.trim();"
        " return !own && !one.closest('[aria-label]') && !one.closest('[aria-hidden]')"
        "}).map((one) => one.outerHTML.slice(0, 120))"
    )
    assert nameless == []
    assert page.js("return [...document.querySelectorAll('[role=button]')].every((one) => one.tabIndex === 0)")
    page.js("document.querySelector('[data-path=\"/srv/fim/tree/sbin\"]').focus()")
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(page.driver).send_keys("\ue007").perform()
    assert len(paths(page)) == 3


def test_an_independent_checker_finds_no_obstacle(page: Browser) -> None:
    axe = pytest.importorskip("axe_core_python.selenium", reason="no axe-core here")
    page.click("#table .open")
    for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)):
        page.prefer(scheme)
        page.size(width)
        found = axe.Axe().run(page.driver)["violations"]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == [], (scheme, width)


def test_hostile_names_are_shown_and_none_runs(browser: Browser, pages: Path) -> None:
    browser.complaints()
    browser.open(pages / "hostile.html")
    browser.js("for (const one of document.querySelectorAll('#table .open')) one.click()")
    for selector in ("[data-path]", ".person", "[data-cell]"):
        browser.js("document.querySelector(arguments[0]).dispatchEvent(new MouseEvent('click', {bubbles: true}))", selector)
    browser.click('#controls button[type="reset"]')
    assert browser.js("return window.owned === undefined && ({}).owned === undefined")
    assert len(browser.js("return document.querySelectorAll('script, img, iframe, object, embed, link, base')")) == 2
    assert any("/srv/<script>window.owned='script'</script>" in path for path in paths(browser))
    assert len(paths(browser)) == len(HOSTILE)
    assert browser.requests() == [(pages / "hostile.html").as_uri()]
    assert browser.complaints() == []


def test_what_got_into_the_markup_all_the_same_neither_runs_nor_asks(browser: Browser, pages: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}"
        bad = (f"<script>window.owned=1</script><img src='{place}/img' onerror='window.owned=2'><body onload='window.owned=3'>"
               f"<script src='{place}/js'></script><link rel=stylesheet href='{place}/css'><iframe src='{place}/frame'></iframe>"
               )  # fmt: skip
        text = (pages / "incident.html").read_text().replace("<main>", f"<main>{bad}")
        (tmp_path / "bad.html").write_text(text)
        browser.open(tmp_path / "bad.html")
        refused = browser.js("try { document.body.innerHTML = '<b>x</b>'; return 'made' } catch (error) { return error.name }")
        server.shutdown()
    assert (browser.js("return window.owned === undefined"), refused, asked) == (True, "TypeError", [])
    assert any("Content Security Policy" in words for words in browser.complaints())


def test_ten_thousand_findings_open_in_time_and_are_paged(browser: Browser, pages: Path) -> None:
    browser.size(1280)
    assert any(browser.open(pages / "many.html") < OPENED_WITHIN_S for _ in range(5))
    assert count(browser) == "10,000 findings"
    assert len(paths(browser)) == 50
    browser.click("#next")
    assert browser.texts("#page") == ["51 to 100 of 10,000"]
    browser.choose("#rows", "500")
    assert len(paths(browser)) == 500


def test_times_that_no_calendar_has_do_not_hold_the_page_up(browser: Browser, tmp_path: Path) -> None:
    one = next(finding for finding in investigation().findings if finding.actors)
    odd = [replace(one, id=str(when), actors=(replace(one.actors[0], time_ns=when),)) for when in (0, 10**24, -(10**20))]
    write_report(tmp_path / "odd.html", ReportData(host="h", made_ns=MADE_NS, findings=(*investigation().findings, *odd)))
    browser.complaints()
    browser.open(tmp_path / "odd.html")
    browser.click('[data-zoom="in"]')
    browser.click('[data-zoom="all"]')
    assert count(browser) == "37 findings"
    assert browser.complaints() == []


def test_an_empty_report_is_whole_too(browser: Browser, pages: Path) -> None:
    browser.complaints()
    browser.open(pages / "empty.html")
    assert "There are no findings." in browser.texts("#table")[0]
    browser.click('[data-zoom="in"]')
    assert browser.complaints() == []


@pytest.mark.parametrize("name", ["incident", "hostile", "many", "empty"])
@pytest.mark.parametrize("width", [1280, 800, 390])
def test_no_page_is_wider_than_its_window(browser: Browser, pages: Path, name: str, width: int) -> None:
    browser.size(width)
    browser.open(pages / f"{name}.html")
    browser.js("for (const one of [...document.querySelectorAll('#table .open')].slice(0, 20)) one.click()")
    assert browser.js("return document.documentElement.scrollWidth") <= width


def test_dark_and_light_follow_the_system_and_the_button(page: Browser) -> None:
    light = page.js("return getComputedStyle(document.body).backgroundColor")
    page.prefer("dark")
    dark = page.js("return getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    back = page.js("return getComputedStyle(document.body).backgroundColor")
    assert (light != dark, back) == (True, light)


def test_print_is_light_has_no_controls_and_all_rows(browser: Browser, pages: Path) -> None:
    browser.prefer("light")
    browser.open(pages / "many.html")
    browser.js("dispatchEvent(new Event('beforeprint'))")
    assert len(paths(browser)) == 500
    widths = "return ['timeline', 'treemap', 'hours'].map((id) => document.querySelector(`#${id} svg`).getAttribute('width'))"
    assert browser.js(widths) == ["640"] * 3  # drawn for a sheet, so that no letter of it shrinks
    browser.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    hidden = browser.js(
        "return ['.tools', '.controls', '.buttons'].map((one) => getComputedStyle(document.querySelector(one)).display)"
    )
    paper = browser.js("return getComputedStyle(document.body).backgroundColor")
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    browser.js("dispatchEvent(new Event('afterprint'))")
    assert (set(hidden), paper) == ({"none"}, "rgb(255, 255, 255)")
    assert "640" not in browser.js(widths)
    assert len(paths(browser)) == 50
