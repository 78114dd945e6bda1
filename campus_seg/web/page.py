"""The page on which people try the model, made with gradio.

The browser sends photos to the server's own routes and takes pictures and downloads from there; see `page_files`.
gradio does the threshold, the classes and what the page tells of a photo, with one event whose answers cannot
overtake each other. All addresses in the page are relative, and it asks no other host for anything.
"""

import math
from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any
from urllib.parse import quote

import gradio as gr

from campus_seg.palette import hex_color
from campus_seg.web.limits import LEAST
from campus_seg.web.page_answer import ShownResult, downloads_html, gone_html, objects_html, summary_html

SCRIPTS = ("page.js", "picture.js", "camera.js")  # in one function, in this order
ICON = (  # in the browser's tab: a photo with something marked in it
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#0b5fc4"/>'
    '<path d="M3 12l3-7 4 2 3-3v8z" fill="#ffd60a" stroke="#fff"/></svg>'
)
LOWEST = round(100 * LEAST)  # per cent


def build_page(
    *,
    title: str,
    class_names: Sequence[str],
    colors: Sequence[tuple[int, int, int]],
    threshold: float,
    max_mb: float,
    max_megapixels: float,
    examples: int,
    label_studio: str | None,
    kept_minutes: int,
    shown: Callable[[str], ShownResult | None],
) -> gr.Blocks:
    """Builds the page.

    It is to be launched with `launch_arguments()`. What it asks the server for, beside gradio's own
    files: `POST photos?name=…`, `POST examples/K`, `GET examples/K.jpg`, `GET results/TOKEN/KIND?threshold=…&classes=…`
    and `POST results/TOKEN/label-studio?threshold=…&classes=…`; `classes=` without any number means no class at all.
    Of gradio: the page, its assets, config, theme and `POST gradio_api/run/predict`.

    A Content-Security-Policy has to allow `script-src 'self' 'unsafe-inline' 'unsafe-eval'` (gradio's own page and
    its component HTML), `style-src 'self' 'unsafe-inline'`, `img-src 'self' data: blob:` (pictures are fetched, so
    that an error can be read) and `connect-src 'self'`; a Permissions-Policy `camera=(self)`.

    Args:
        title: of the page; it is its heading too.
        class_names: by class id.
        colors: (r, g, b) of each.
        threshold: 0.05 … 1, where the slider begins.
        max_mb: how large a photo's file may be, in 10^6 bytes.
        max_megapixels: how many pixels it may have, in 10^6.
        examples: how many example photos there are.
        label_studio: where the button sends a photo to, in words, for example "project 3"; None = no button.
        kept_minutes: how long the server keeps a photo at most.
        shown: gives a token's result, or None if it is gone.
    """
    styles = [hex_color(color) for color in colors]
    names = list(class_names)
    start = min(max(round(100 * threshold, 2), LOWEST), 100)

    def show(asked: Any, percent: Any, chosen: Any) -> tuple[str, str]:
        """The summary and the table; `asked` is a token and, behind a ".", which time it is asked.

        What the browser sends comes as it is: gradio's own checks would answer a number that is still being typed
        with an error, and none at all is where the slider began.
        """
        token = asked.partition(".")[0] if isinstance(asked, str) else ""
        result = shown(token) if token else None
        if result is None:
            return (gone_html(asked, kept_minutes) if token else ""), ""
        known = isinstance(percent, int | float) and -math.inf < percent < math.inf
        percent = min(max(percent if known else start, LOWEST), 100)
        least = round(percent / 100, 4)  # 57 per cent are 0.57, as one types it
        class_ids = [i for i, name in enumerate(names) if isinstance(chosen, list) and name in chosen]
        return (
            summary_html(asked, result, least, class_ids, names),
            objects_html(result, least, class_ids, names, styles),
        )

    upload = Template(_read("upload.html")).substitute(
        title=escape(title),
        what=escape(_listed(names)),
        max_mb=f"{max_mb:g}",
        max_megapixels=f"{max_megapixels:g}",
        kept_minutes=f"{kept_minutes:g}",
    )
    settings = f'<div id="settings" data-max-bytes="{int(max_mb * 1_000_000)}" hidden></div>'
    with gr.Blocks(title=title, analytics_enabled=False) as page, gr.Row(elem_id="campus"):
        with gr.Column(elem_id="asking"):
            _html(upload + settings, "upload")
            with gr.Column(elem_id="choices"):
                percent = gr.Slider(
                    LOWEST,
                    100,
                    start,
                    step=1,
                    label="Minimum score, in %",
                    info="How sure the model has to be of an object.",
                    elem_id="least",
                    buttons=[],
                )
                chosen = gr.CheckboxGroup(
                    names,
                    value=names,
                    label="Classes",
                    elem_id="classes",
                )
                _html(_choices_html(styles), "all")
            if examples:
                _html(_examples_html(examples), "examples")
        with gr.Column(elem_id="answer"):
            _html(_read("visit.html"), "photos")
            summary = _html("", "summary")
            _html(_read("picture.html"), "picture")
            _html(downloads_html(label_studio), "saves")
            _html('<p id="said" role="status"></p>', "after")
            objects = _html("", "objects")
        asked = gr.Textbox(elem_id="asked", visible="hidden", show_label=False, container=False)
        # While an answer is due, of all that is asked the last is remembered and asked next: none is overtaken.
        gr.on(
            [asked.change, percent.change, chosen.change],
            show,
            [asked, percent, chosen],
            [summary, objects],
            queue=False,
            preprocess=False,
            trigger_mode="always_last",
            show_progress="hidden",
            api_visibility="private",
        )
    return page


def launch_arguments() -> dict[str, Any]:
    """What `gr.Blocks.launch` or `gr.mount_gradio_app` has to be given for this page: its look and its scripts.

    Beside that `footer_links=[]` is wanted, since the footer's links lead away.
    """
    scripts = "\n".join(_read(name) for name in SCRIPTS)
    return {
        # Fonts of the system: gradio's own are files, and others would be asked from another host.
        "theme": gr.themes.Default(
            primary_hue="blue", font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace")
        ),
        "head": f'<link rel="icon" href="data:image/svg+xml,{quote(ICON)}">\n<style>{_read("page.css")}</style>\n'
        f'<script>"use strict";\n(() => {{\n{scripts}}})();</script>',
    }


def _read(name: str) -> str:
    return (files("campus_seg.web") / "page_files" / name).read_text(encoding="utf-8")


def _html(value: str, name: str) -> gr.HTML:
    return gr.HTML(value, elem_id=name, js_on_load=None, apply_default_css=False)


def _listed(names: Sequence[str]) -> str:
    """For example "a, b and c"; of many names the first few."""
    if len(names) > 6:
        return f"{', '.join(names[:5])} and {len(names) - 5} more classes"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _examples_html(examples: int) -> str:
    buttons = "".join(
        f'<li><button type="button" class="tile" data-example="{k}">'
        f'<img src="examples/{k}.jpg" alt=""><span>Example {k + 1}</span></button></li>'
        for k in range(examples)
    )
    return f'<h2>Or try an example</h2><ul role="list">{buttons}</ul>'


def _choices_html(styles: Sequence[str]) -> str:
    """The colours of the classes, beside their names in the choice of classes, and buttons for all and none."""
    rules = "".join(
        f"#classes .wrap label:nth-of-type({i})::before {{ background: {style}; }}"
        for i, style in enumerate(styles, start=1)
    )
    buttons = "".join(
        f'<button type="button" class="button small" data-all="{all_of_them}">{label}</button>'
        for label, all_of_them in (("All classes", "yes"), ("No class", ""))
    )
    return f'<style>{rules}</style><p class="ways">{buttons}</p>'
