"""How the app is served: only to this machine, with nothing fetched from another one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from gradio.themes import Soft
from starlette.middleware import Middleware

STATIC = Path(__file__).parent / "static"
SCRIPTS = (
    "gl preferences files camera points panel palette discs overlay selection picking drawing keys "
    "toolbar edits editor input picture viewer thresholds link app"
)
"""Classic scripts in the order in which they need each other, served as one."""
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'"
)
"""Content security policy: the browser itself refuses every request to another machine."""


Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class SecurityHeaders:
    """ASGI middleware that adds the content policy to every HTTP answer."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and add headers to its answer."""

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                extra = {
                    b"content-security-policy": POLICY.encode(),
                    b"x-content-type-options": b"nosniff",
                    b"referrer-policy": b"no-referrer",
                }
                message["headers"] = [*message.get("headers", []), *extra.items()]
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


def launch_options() -> dict[str, Any]:
    """Return arguments of ``launch``; see ``viewer.launch_options``."""
    return {
        "theme": _theme(),
        "css": (STATIC / "app.css").read_text(encoding="utf-8"),
        "head": f"<script>{script()}</script>",
        "app_kwargs": {"middleware": [Middleware(SecurityHeaders)]},
        "share": False,
        "allowed_paths": [],
        "max_file_size": "1gb",
        "run_history": False,
        "ssr_mode": False,
        "footer_links": ["settings"],
        "quiet": True,
        # Else the app asks itself for its page once, and gives up when a busy machine takes 3 s.
        "_frontend": False,
    }


def script() -> str:
    """Return all scripts of the page as one text."""
    return "\n".join(
        (STATIC / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS.split()
    )


def _theme() -> Any:
    """Return a quiet theme with the system's own fonts: nothing is fetched."""
    theme = Soft(
        primary_hue="blue",
        neutral_hue="slate",
        spacing_size="sm",
        font=("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"),
        font_mono=("ui-monospace", "Consolas", "monospace"),
    )
    plain = {"background_fill": "transparent", "text_color": "*body_text_color"}
    titles = {f"block_title_{k}{d}": v for k, v in plain.items() for d in ("", "_dark")}
    edges = {
        "input_border_width": "1px",
        "input_border_color": "*neutral_300",
        "input_border_color_dark": "*neutral_600",
        "button_border_width": "1px",
        "button_secondary_border_color": "*neutral_300",
        "button_secondary_border_color_dark": "*neutral_600",
    }
    quiet = {f"block_{name}": "transparent" for name in ("background_fill", "background_fill_dark")}
    return theme.set(
        **titles, **edges, **quiet, **_contrast(), block_title_padding="0",
        block_title_text_weight="600", block_padding="0",
    )  # fmt: skip


def _contrast() -> dict[str, str]:
    """Return colours of text that stand out enough to be read: 4.5 to 1, as WCAG AA asks."""
    subdued = ("body_text_color_subdued", "block_info_text_color", "input_placeholder_color")
    filled = ("button_primary_background_fill", "checkbox_label_background_fill_selected")
    return {
        **dict.fromkeys(subdued, "*neutral_500"),
        **{f"{name}_dark": "*neutral_400" for name in subdued},
        **{f"{name}{mode}": "*primary_600" for name in filled for mode in ("", "_dark")},
        "button_primary_background_fill_hover": "*primary_700",
        "button_primary_background_fill_hover_dark": "*primary_700",
        "button_secondary_background_fill_hover_dark": "*neutral_500",
        "block_label_text_color": "*primary_700",
        "block_label_text_color_dark": "white",
        "slider_color": "*primary_600",
        "checkbox_border_color": "*neutral_400",
        "checkbox_border_color_dark": "*neutral_400",
        "link_text_color": "*primary_700",
        "link_text_color_dark": "*primary_300",
    }
