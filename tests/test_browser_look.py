"""How the page looks, as far as a machine can tell: contrast, focus, and that all of it fits."""

from __future__ import annotations

import base64

import numpy as np
import pytest

import s4token
from tests.fakes import striped_cloud
from tests.test_browser import Visit, browser, room, server, visit

__all__ = ["browser", "room", "server"]  # fixtures

pytestmark = pytest.mark.browser
TABS = ("Compare tokenizers", "Train", "About", "Explore")

FAINT = """() => {
    const parts = (css) => {
        const v = css.match(/[\\d.]+/g).map(Number);
        const scale = css.startsWith("color(") ? 255 : 1;
        return [...v.slice(0, 3).map((c) => c * scale), v[3] ?? 1];
    };
    const over = (a, b) => {
        const alpha = a[3] + b[3] * (1 - a[3]);
        const mixed = [0, 1, 2].map((i) => (a[i] * a[3] + b[i] * b[3] * (1 - a[3])) / (alpha || 1));
        return [...mixed, alpha];
    };
    const light = (color) => color.slice(0, 3)
        .map((v) => v / 255)
        .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (element) => {
        let color = [0, 0, 0, 0];
        for (let e = element; e && color[3] < 0.99; e = e.parentElement) {
            color = over(color, parts(getComputedStyle(e).backgroundColor));
            if (e.classList.contains("s4-float")) color[3] = 1;  // over points of any colour
        }
        return over(color, [255, 255, 255, 1]);
    };
    const found = new Set();
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const [text, e] = [walk.currentNode.textContent.trim(), walk.currentNode.parentElement];
        const box = e.getBoundingClientRect();
        if (!text || box.width < 2 || e.closest("script, style, svg, :disabled, .js-plotly-plot")) {
            continue;
        }
        if (!e.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
        const [back, ink] = [behind(e), parts(getComputedStyle(e).color)];
        for (let up = e; up; up = up.parentElement) ink[3] *= getComputedStyle(up).opacity;
        const [a, b] = [light(over(ink, back)), light(back)];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const least = parseFloat(getComputedStyle(e).fontSize) >= 24 ? 3 : 4.5;
        if (ratio < least) found.add(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
    }
    return [...found];
}"""
"""Texts with less contrast than WCAG 2.2 AA asks (1.4.3); what is switched off is exempt."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(browser, server, scheme):
    seen = visit(browser, server, color_scheme=scheme)
    page = seen.page

    def readable(state: str) -> None:
        page.mouse.move(2, 2)
        assert page.evaluate(FAINT) == [], state

    readable("empty")
    page.get_by_role("button", name="Try it").click()
    seen.status("^Office: ")
    seen.settle()
    page.mouse.click(*seen.place())
    page.locator(".s4-why").wait_for()
    readable("explained")
    seen.view("Annotate")
    page.keyboard.press("?")
    page.locator("#s4-canvas .s4-sheet").wait_for()
    readable("keys")
    page.keyboard.press("?")
    page.locator("#s4-export").click()
    page.locator("#s4-files a").first.wait_for()
    readable("exported")
    page.locator("#s4-prompts textarea").fill("")
    page.locator("#s4-find").click()
    seen.status("Words: ")
    readable("an error")
    for name in TABS:
        page.get_by_role("tab", name=name).click()
        page.wait_for_timeout(1000)  # the Train tab asks what there is
        readable(name)
    page.context.close()


@pytest.mark.parametrize("size", [(480, 900), (1024, 768), (1280, 720), (3840, 2160)])
def test_all_of_it_fits_into_the_window(browser, server, size):
    """Nothing is cut off at the right, and a scan is seen as a whole in every panel."""
    seen = visit(browser, server)
    page = seen.page
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.get_by_role("button", name="Try it").click()
    seen.status("^Office: ")
    outside = """() => [...document.querySelectorAll(
            "button, input, textarea, table, .s4-view, .s4-status, .s4-float, .s4-caption")]
        .filter((e) => e.checkVisibility() && e.getBoundingClientRect().width > 1)
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
        .map((e) => e.id || e.className || e.outerHTML.slice(0, 90))"""
    for name in ("Heatmap", "Annotate"):
        seen.view(name)
        assert page.evaluate(outside) == [], name
    assert reach(seen, "s4-canvas") <= 1.05
    page.get_by_role("tab", name="Compare tokenizers").click()
    seen.redrawn(page.locator("#s4-compare").click, "s4-compare-canvas")
    assert page.evaluate(outside) == []
    assert reach(seen, "s4-compare-canvas") <= 1.05
    page.context.close()


def reach(seen: Visit, canvas: str) -> float:
    """Return how far from the middle of a panel the outermost point is seen, 1 being its edge."""
    points, view = seen.get("[Array.from(viewer.points.positions), [...viewer.view()]]", canvas)
    places = np.c_[np.reshape(points, (-1, 3)), np.ones(len(points) // 3)]
    on_screen = places @ np.reshape(view, (4, 4))
    return float(np.abs(on_screen[:, :2] / on_screen[:, 3:]).max())


def test_whoever_uses_the_keyboard_sees_where_it_goes(browser, server):
    """Each part that Tab reaches looks another way than without the focus."""
    other = visit(browser, server)
    page = other.page
    page.get_by_role("button", name="Try it").click()
    other.status("^Office: ")
    look = """() => {
        const e = document.activeElement;
        const shown = [e, e.parentElement, e.closest("label, .container, .wrap") || e];
        return shown.map((part) => {
            const css = getComputedStyle(part);
            return [css.outlineStyle, css.outlineColor, css.outlineWidth, css.boxShadow,
                css.borderColor, css.backgroundColor].join("|");
        }).join("||");
    }"""
    keep = "() => { window.held = document.activeElement; }"
    page.evaluate("document.body.focus()")
    seen: dict[str, tuple[str, str]] = {}
    for _ in range(90):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.outerHTML.slice(0, 160)")
        if name in seen or name.startswith("<body"):
            continue
        page.wait_for_timeout(200)  # colours fade in
        focused = page.evaluate(look)
        page.evaluate(f"({keep})(); document.activeElement.blur()")
        page.wait_for_timeout(200)
        away = page.evaluate(look.replace("document.activeElement", "window.held"))
        page.evaluate("window.held.focus()")
        seen[name] = focused, away
    unseen = [name for name, (focused, away) in seen.items() if focused == away]
    assert len(seen) > 30 and not unseen
    page.context.close()


def test_the_explanation_follows_the_words(room):
    room.find("floor\nwall\ndesk")
    page = room.page
    page.mouse.click(*room.place())
    card = page.locator("#s4-why")
    card.get_by_text("Superpoint").wait_for()
    assert card.bounding_box()["y"] < page.viewport_size["height"] - 200, "seen without scrolling"
    head = card.locator("h4").inner_text()
    assert sorted(card.locator("tbody th").all_inner_texts()) == ["desk", "floor", "wall"]
    room.find("lamp\nbed")
    card.get_by_text("lamp").wait_for()
    assert sorted(card.locator("tbody th").all_inner_texts()) == ["bed", "lamp"]
    assert card.locator("h4").inner_text() == head


def test_the_camera_stays_when_a_unit_is_told(room):
    room.find("floor\nwall")
    room.drag(40, 20)
    before, key = room.camera(), room.get("viewer.cloud.key")
    unit = room.page.locator("#s4-unit input")
    for press in ("ArrowDown", "ArrowUp"):
        unit.focus()
        room.page.keyboard.press(press)
        room.redrawn(lambda: room.page.keyboard.press("Enter"))
        assert np.allclose(room.camera(), before)
    assert room.get("viewer.cloud.key") != key, "as it is another cloud"


def test_an_axis_that_is_told_turns_the_picture_and_asks_the_words_again(room):
    room.find("door\nwindow")
    axis = room.page.locator("#s4-up input")
    for press, up in (("ArrowDown", [0, 1, 0]), ("ArrowUp", [0, 0, 1])):
        axis.focus()
        room.page.keyboard.press(press)
        room.page.keyboard.press("Enter")
        room.page.wait_for_function(
            f"window.s4.viewers['s4-canvas'].camera.up.join() === '{','.join(map(str, up))}'"
        )
        room.page.wait_for_function("document.querySelectorAll('#s4-legend tbody tr').length === 3")
    room.page.wait_for_function("document.querySelector('#s4-up input').value === 'z'")


def test_the_sheet_of_keys_holds_the_keyboard_until_it_is_closed(room):
    page = room.page
    room.view("Annotate")
    button = page.locator("#s4-canvas button[data-act=help]")
    button.focus()
    page.keyboard.press("Enter")
    sheet = page.get_by_role("dialog", name="Keys and mouse")
    sheet.get_by_text("Select whole superpoints").wait_for()
    box = sheet.bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= page.viewport_size["height"]
    whole = room.get("viewer.whole")
    page.keyboard.press("k")
    assert room.get("viewer.whole") == whole, "keys do nothing behind it"
    page.keyboard.press("Enter")  # the focus is on its button
    sheet.wait_for(state="hidden")
    assert page.evaluate("document.activeElement.dataset.act") == "help", "back where it was"
    room.view("Labels")


def test_a_scan_that_is_dropped_on_the_page_is_opened(browser, server, tmp_path):
    s4token.write(tmp_path / "drop.ply", striped_cloud(2000))
    seen = visit(browser, server)
    page = seen.page
    data = page.evaluate_handle(
        """text => {
            const data = new DataTransfer();
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            data.items.add(new File([bytes], "drop.ply"));
            return data;
        }""",
        base64.b64encode((tmp_path / "drop.ply").read_bytes()).decode(),
    )
    page.dispatch_event("#s4-right", "dragover", {"dataTransfer": data})
    assert page.locator("body.s4-dropping").count() == 1
    page.dispatch_event("#s4-right", "drop", {"dataTransfer": data})
    seen.status(r"^drop\.ply: 2,000 points")
    assert page.locator("body.s4-dropping").count() == 0
    assert not seen.errors and not seen.foreign
    page.context.close()
