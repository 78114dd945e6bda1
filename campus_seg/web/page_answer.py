"""What the page tells of a photo, as HTML: how many objects of which class, the downloads, and a table.

All names are escaped. What the page's scripts need is in `data-` attributes of the first element of the summary.
"""

from collections import Counter
from collections.abc import Sequence
from html import escape
from math import floor
from typing import Protocol
from urllib.parse import urlencode

DOWNLOADS = (  # what the address ends with, what it is called on the page, and what it is
    ("overlay", "Overlay", "the photo with its objects marked, as above, in its full size"),
    ("binary", "Binary mask", "white where an object is, black elsewhere"),
    ("rgb", "RGB mask", "each class in its colour"),
    ("instances", "Instance mask", "each object's number as its value, for programs: people see black"),
    ("cutouts", "Cut-outs", "each object by itself, the rest transparent, in a .zip"),
    ("predictions", "COCO JSON", "classes, scores, boxes and masks, for programs"),
)


class ShownObject(Protocol):
    """An object of a photo: its class by number, its score of 0 … 1 and its area in pixels of the photo."""

    class_id: int
    score: float
    area: int


class ShownResult(Protocol):
    """What the model found in a photo of `width` x `height` pixels; the objects by falling score."""

    token: str
    name: str
    width: int
    height: int
    objects: Sequence[ShownObject]


def percent(share: float, digits: int = 1) -> str:
    """A share as per cent, rounded down: what is below a threshold never reads as if it reached it.

    >>> percent(0.49999), percent(1)
    ('49.9%', '100.0%')
    """
    return f"{floor(100 * share * 10**digits + 1e-9) / 10**digits:.{digits}f}%"


def query(threshold: float, class_ids: Sequence[int]) -> str:
    """The part of an address behind "?", for the server's results; an empty list of classes means none of them."""
    return urlencode({"threshold": f"{threshold:g}", "classes": ",".join(map(str, sorted(class_ids)))}, safe=",")


def wanted(result: ShownResult, threshold: float, class_ids: Sequence[int]) -> list[ShownObject]:
    """The objects of these classes that reach the threshold, as `Selection` chooses them."""
    return [found for found in result.objects if found.score >= threshold and found.class_id in class_ids]


def counted(objects: Sequence[ShownObject], class_names: Sequence[str]) -> str:
    """For example "3 objects: 2 car, 1 person", most first."""
    if not objects:
        return "no object"
    counts = Counter(found.class_id for found in objects)
    parts = ", ".join(f"{count} {class_names[class_id]}" for class_id, count in counts.most_common())
    return f"{len(objects):,} object{'s' if len(objects) > 1 else ''}: {parts}"


def summary_html(
    asked: str, result: ShownResult, threshold: float, class_ids: Sequence[int], class_names: Sequence[str]
) -> str:
    """The photo's name and how many objects there are, and how many the threshold and the classes leave out.

    `asked` is what the browser asked for, by which it knows its answer, also where that is the same as before.
    """
    objects = wanted(result, threshold, class_ids)
    said = counted(objects, class_names)
    left_out = len(result.objects) - len(objects)
    more = ""
    if not class_ids:
        more = "No class is chosen."
    elif left_out:
        more = f"{left_out:,} more {'is' if left_out == 1 else 'are'} left out by the score or the classes."
    data = {"asked": asked, "query": query(threshold, class_ids), "said": f"{result.name}: {said}"}
    attributes = " ".join(f'data-{name}="{escape(value)}"' for name, value in data.items())
    return (
        f'<div class="photo" {attributes}><h2><bdi>{escape(result.name)}</bdi></h2>'
        f'<p>{escape(said[0].upper() + said[1:])}. <span class="soft">{more}</span></p></div>'
    )


def gone_html(asked: str, kept_minutes: int) -> str:
    """What is told instead of the summary where the server has forgotten the photo."""
    text = f"This photo is no longer here: photos are kept for at most {kept_minutes} minutes. Send it again."
    return f'<div class="photo" data-asked="{escape(asked)}" data-gone="{escape(text)}"></div>'


def downloads_html(label_studio: str | None = None) -> str:
    """Links to everything that can be kept, and the button that sends the photo on where Label Studio is set up.

    The page's scripts give them their addresses with each answer: links that were made anew would lose the focus.
    """
    links = "".join(f'<li><a class="button small" data-save="{kind}">{label}</a></li>' for kind, label, _ in DOWNLOADS)
    told = "".join(f"<li><b>{label}</b>: {what}.</li>" for _, label, what in DOWNLOADS)
    told = f'<details class="soft"><summary>What these are</summary><ul role="list">{told}</ul></details>'
    send = ""
    if label_studio:
        send = (
            '<p><button type="button" class="button" data-save="label-studio">Send to Label Studio</button> '
            f'<span class="soft">The photo and its objects, to {escape(label_studio)}</span></p>'
        )
    return f'<div id="kept" hidden><h2>Download</h2><ul class="saves" role="list">{links}</ul>{told}{send}</div>'


def objects_html(
    result: ShownResult,
    threshold: float,
    class_ids: Sequence[int],
    class_names: Sequence[str],
    colors: Sequence[str],
) -> str:
    """A table of the objects: class, score, area.

    Args:
        result: of a photo.
        threshold: 0 … 1.
        class_ids: of those that are wanted.
        class_names: by class id.
        colors: of each as CSS writes it, for example "#e6194b".
    """
    objects = wanted(result, threshold, class_ids)
    if not objects:
        hint = "Tick more classes or lower the score." if result.objects else "The model found nothing it knows here."
        return f'<p class="soft">{hint}</p>'
    pixels = result.width * result.height
    rows = "".join(
        f'<tr><td>{number}</td><th scope="row"><span class="swatch" style="background:{colors[found.class_id]}"></span>'
        f"{escape(class_names[found.class_id])}</th><td>{percent(found.score)}</td><td>{found.area:,} px</td>"
        f"<td>{percent(found.area / pixels, 2)}</td></tr>"
        for number, found in enumerate(objects, start=1)
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("No.", "Class", "Score", "Area", "Share of photo"))
    return (
        f'<div class="scroll"><table><caption>Objects in <bdi>{escape(result.name)}</bdi></caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
