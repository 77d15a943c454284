"""Annotating in a real browser with real mouse and keys: polygon, next, split, instance, lock."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

from tests.test_browser import CANVAS, Visit, browser, said, server, visit  # noqa: F401

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def office(browser, server) -> Iterator[Visit]:  # noqa: F811
    """One page with the bundled office and three words in the view Annotate."""
    seen = visit(browser, server)
    seen.page.locator("#s4-prompts textarea").fill("floor\nwall\ndesk")
    seen.redrawn(seen.page.get_by_role("button", name="Office", exact=True).click)
    seen.status("^Office: .* points in .* tokens")
    seen.view("Annotate")
    yield seen
    assert not seen.foreign and not seen.errors
    seen.page.context.close()


def corners(seen: Visit, radius: int, *keys: str) -> None:
    """Click the corners of a hexagon around the middle of the picture."""
    x, y = seen.place()
    for key in keys:
        seen.page.keyboard.down(key)
    for i in range(6):
        seen.page.mouse.click(
            x + radius * np.cos(i * np.pi / 3), y + radius * np.sin(i * np.pi / 3)
        )
    for key in keys:
        seen.page.keyboard.up(key)


def polygon(seen: Visit, radius: int, *keys: str) -> int:
    corners(seen, radius, *keys)
    seen.page.keyboard.press("Enter")
    seen.settle()
    return seen.get("viewer.selected")


def clean(seen: Visit) -> None:
    """Show the whole scan, select nothing and undo everything."""
    seen.page.locator("#s4-canvas button[data-act=fit]").click()
    seen.page.mouse.move(*seen.place())
    seen.page.keyboard.press("Escape")
    seen.settle()
    while seen.get("viewer.can.undo"):
        seen.page.keyboard.press("Control+z")
        said(seen, "Undone")


def number(text: str) -> int:
    return int(re.search(r"([\d,]+) points", text).group(1).replace(",", ""))


def test_points_have_the_labels_that_the_legend_counts(office):
    counted = office.get(
        """(() => {
            const panel = viewer.panels[0];
            const count = new Array(panel.spec.names.length).fill(0);
            for (let i = 0; i < panel.ids.length; i += 1) count[panel.labelOf(i)] += 1;
            return count;
        })()"""
    )
    rows = office.page.locator("#s4-legend tbody tr")
    legend = {
        rows.nth(i).locator("th").get_attribute("title"): int(
            rows.nth(i).locator("td").first.inner_text().replace(",", "")
        )
        for i in range(rows.count())
    }
    names = office.get("viewer.panels[0].spec.names")
    assert dict(zip(names, counted, strict=True)) == legend


def test_a_polygon_selects_with_every_key(office):
    page = office.page
    clean(office)
    page.locator("#s4-canvas button[data-act=polygon]").click()
    corners(office, 70)
    assert office.get("viewer.selected") == 0, "not before it is closed"
    page.keyboard.press("Escape")
    assert office.get("viewer.editor.shape === null && viewer.selected === 0"), "left"
    page.keyboard.press("g")
    whole = polygon(office, 70)
    assert whole > 0
    assert polygon(office, 40, "Control") < whole, "Ctrl takes away"
    assert polygon(office, 70, "Shift") >= whole, "Shift adds"
    assert 0 < polygon(office, 40, "Shift", "Control") < whole, "both intersect"
    page.keyboard.press("k")
    page.keyboard.press("h")
    through = polygon(office, 50)
    page.keyboard.press("h")
    assert 0 < polygon(office, 50) < through, "what is behind is not taken"
    page.keyboard.press("k")
    page.keyboard.press("Escape")
    target = office.camera()
    corners(office, 70)
    page.mouse.dblclick(*office.place(0.5, 0.4))
    office.settle()
    assert office.get("viewer.selected") > 0 and np.allclose(office.camera(), target)
    page.keyboard.press("v")


def test_next_goes_from_doubt_to_doubt_and_labels_nothing(office):
    page = office.page
    clean(office)
    seen = []
    for press in range(3):
        before = office.camera()
        if press == 1:
            page.locator("#s4-canvas button[data-act=next]").click()
        else:
            page.mouse.move(*office.place())
            page.keyboard.press("u")
        page.wait_for_function(
            f"v => !window.s4.viewers['{CANVAS}'].editor.waiting() && "
            f"!v.includes(window.s4.viewers['{CANVAS}'].editor.at)",
            arg=[-1, *seen],
        )
        text = said(office, "sure")
        seen.append(office.get("viewer.editor.at"))
        assert f"Superpoint {seen[-1]}:" in text
        assert office.get("viewer.selected") == number(text)
        assert not np.allclose(office.camera(), before)
    assert len(set(seen)) == 3
    assert office.get("viewer.editor.own.every(v => (v & 127) === 0)")
    clean(office)


def test_a_superpoint_is_split_and_put_together_again(office):
    page = office.page
    clean(office)
    page.keyboard.press("u")
    said(office, "sure")
    count = office.get("viewer.panels[0].sizes.length")
    token, size = office.get("[viewer.editor.at, viewer.panels[0].sizes[viewer.editor.at]]")
    page.get_by_label("Parts of a split").fill("3")
    page.get_by_label("Parts of a split").press("Enter")  # back to the picture
    office.redrawn(lambda: page.keyboard.press("b"))
    said(office, "cut into 3 parts")
    assert office.get("viewer.panels[0].sizes.length") == count + 2
    parts = office.get(f"[{token}, {count}, {count + 1}].map(t => viewer.panels[0].sizes[t])")
    assert sum(parts) == size and min(parts) > 0
    assert office.get("viewer.selected") == size, "the points stay selected"
    office.redrawn(page.locator("#s4-canvas button[data-act=undo]").click)
    said(office, "Undone")
    assert office.get("viewer.panels[0].sizes.length") == count
    clean(office)


def test_instances_are_numbered_shown_and_undone(office):
    page = office.page
    clean(office)
    page.keyboard.press("g")
    page.keyboard.press("3")
    for number_, radius in ((1, 60), (2, 25)):
        assert polygon(office, radius) > 0
        if number_ == 1:
            page.keyboard.press("i")
        else:
            page.locator("#s4-canvas button[data-act=instance]").click()
        said(office, f"desk #{number_}")
    found = office.get("[...new Set(viewer.editor.instance)].sort()")
    assert found == [0, 1, 2]
    page.mouse.move(*office.place())
    page.locator("#s4-canvas .s4-tip").get_by_text("desk #2 (corrected)").wait_for()
    before = office.pixels()
    page.keyboard.press("o")
    office.settle()
    assert (office.pixels() != before).any(axis=2).mean() > 0.05, "colours of their own"
    page.keyboard.press("o")
    clean(office)
    assert office.get("viewer.editor.instance.every(v => v === 0)")


def test_a_locked_class_keeps_its_points(office):
    page = office.page
    clean(office)
    page.keyboard.press("v")
    page.mouse.move(*office.place())
    page.keyboard.press("g")
    polygon(office, 70)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    said(office, "points are floor")
    floor = "viewer.editor.own.filter(v => (v & 127) === 2 + viewer.editor.table.indexOf('floor'))"
    labelled = office.get(f"{floor}.length")
    assert labelled > 0
    page.keyboard.press("m")
    said(office, "floor is locked")
    assert page.locator(".s4-class-locked").count() == 1
    page.locator("#s4-legend button[data-action=lock][aria-pressed=true]").wait_for()
    polygon(office, 90)
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    assert "points of locked or hidden classes were kept" in said(office, "points are desk")
    assert office.get(f"{floor}.length") == labelled
    office.redrawn(page.locator("#s4-legend button[data-action=lock][aria-pressed=true]").click)
    assert page.locator(".s4-class-locked").count() == 0
    clean(office)
    page.keyboard.press("v")


def test_the_cut_counts_while_one_types(office):
    field = office.page.locator("#s4-cut input[type=number]")
    for text, keys in (("60", []), ("40", ["Enter"])):
        field.fill(text)
        for key in keys:
            field.press(key)
        office.page.locator("#s4-caption").get_by_text("hidden by legend or cut").wait_for()
        office.page.wait_for_function(
            f"""t => {{
                const v = window.s4.viewers['{CANVAS}'];
                return v.scene.cut !== null && Number(document.activeElement.value) === t;
            }}""",
            arg=int(text),
        )
    low = office.get("viewer.scene.cut")
    field.fill("80")
    office.page.wait_for_function(f"window.s4.viewers['{CANVAS}'].scene.cut > {low}")
    field.fill("100")
    office.page.wait_for_function(f"window.s4.viewers['{CANVAS}'].scene.cut === null")
