"""The canvas in a page of its own, without a notebook: the test is the link to the kernel."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager

from lab import BOARD

from mdkit.canvas.module import page_module, page_style

_PAGE = """<body data-jp-theme-light="{is_light}" style="margin: 0"><style>{style}</style></body>"""
_SETUP = """async (source) => {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const widget = (await import(url)).default;
    window.said = [];
    window.open = (width) => {
        const listeners = new Set(), el = document.createElement("div");
        el.style.width = `${width}px`;
        document.body.append(el);
        const close = widget.render({ el, model: {
            on: (name, listener) => listeners.add(listener),
            off: (name, listener) => listeners.delete(listener),
            send: (content) => window.said.push(content),
        } });
        window.deliver = (message, text) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            for (const listener of listeners) listener(message, [new DataView(bytes.buffer)]);
        };
        window.shut = () => { close(); el.remove(); };
    };
}"""


class BarePage:
    """Shows what `deliver` is given; `said` returns what the page has answered since."""

    def __init__(self, page, width: int) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.evaluate(_SETUP, page_module())
        page.evaluate("(width) => window.open(width)", width)

    @classmethod
    @contextmanager
    def open(cls, browser, width=900, height=760, theme="light", ratio=1):
        page = browser.new_page(
            viewport={"width": width, "height": height}, device_scale_factor=ratio
        )
        try:
            is_light = json.dumps(theme == "light")
            page.set_content(_PAGE.format(is_light=is_light, style=page_style()))
            bare = cls(page, width)
            yield bare
            assert bare.errors == []
        finally:
            page.close()

    def deliver(self, message, buffer: bytes) -> None:
        # As JSON, which is how messages travel.
        text = base64.b64encode(buffer).decode()
        self.page.evaluate(
            "([message, text]) => window.deliver(message, text)",
            [json.loads(json.dumps(message)), text],
        )

    def said(self):
        return self.page.evaluate("() => window.said.splice(0)")

    def board(self, script: str):
        return self.page.evaluate(f"() => ({script})(document.querySelector('{BOARD}').mdkit)")
