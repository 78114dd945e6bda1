"""The page's parts, as tests of it use them."""

import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

# {what: ratio} of text whose contrast with what is behind it is below 4.5 (WCAG 2.2, 1.4.3).
CONTRASTS = """() => {
  const parts = (color) => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = parts(getComputedStyle(node).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const worst = {};
  for (const node of document.querySelectorAll("#campus *")) {
    if (![...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim()) || !node.checkVisibility()) continue;
    if (node.matches("style, .away")) continue;
    const [a, b] = [light(parts(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) worst[node.outerHTML.slice(0, 100)] = ratio;
  }
  return worst;
}"""
# Drops or pastes a photo: its bytes, and which of the two.
DROP = """([content, kind]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(content)], kind + ".png", { type: "image/png" }));
  const target = document.querySelector("#drop");
  if (kind === "paste") target.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
  else for (const type of ["dragover", "drop"]) {
    const event = new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true });
    if (target.dispatchEvent(event)) throw type; // the browser would open the file
  }
}"""


def picture(seed: int = 0, size: tuple[int, int] = (120, 160), ending: str = "JPEG", **options: object) -> bytes:
    """Noise of (height, width), in which a random model finds something; as the bytes of a file."""
    stream = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, ending, **options)
    return stream.getvalue()


def file(name: str, content: bytes, kind: str = "image/jpeg") -> dict:
    """A file as a browser's file input takes it."""
    return {"name": name, "mimeType": kind, "buffer": content}


def give(page, *files: dict) -> None:
    """Chooses files and waits until the page is done with them."""
    page.set_input_files("#files", list(files))
    page.wait_for_function("document.querySelector('#progress').hidden")


def shown(page, name: str) -> None:
    """Waits for the picture of a photo."""
    page.wait_for_function(
        """name => {
          const view = document.querySelector("#view");
          return !view.hidden && view.alt.startsWith(`${name}: `) && view.naturalWidth > 0
            && document.querySelector("#stage").ariaBusy === "false";
        }""",
        arg=name,
    )


def painted(page) -> None:
    """Waits until the page has been drawn anew, by when it knows of another width."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def settled(page, percent: int, class_ids) -> None:
    """Waits until the page and its picture are as the threshold and the classes say."""
    query = f"threshold={percent / 100:g}&classes={','.join(map(str, sorted(class_ids)))}"
    page.wait_for_function(
        """query => document.querySelector("#summary [data-query]")?.dataset.query === query
          && document.querySelector("#stage").ariaBusy === "false" """,
        arg=query,
    )


def summary(page) -> str:
    return page.locator("#summary p").inner_text()


def rows(page) -> list[list[str]]:
    """The table's rows: number, class, score, area, share."""
    return page.locator("#objects tbody tr").evaluate_all(
        "all => all.map((row) => [...row.cells].map((c) => c.innerText))"
    )


def errors(page) -> list[str]:
    return page.locator("#errors li").all_inner_texts()


def set_percent(page, percent: int) -> None:
    page.locator("#least input[type=range]").fill(str(percent))


def classes(page):
    """The checkboxes of the classes, in their order."""
    return page.locator("#classes input")


class Masked:
    """What tools/visualize.py has written for one photo."""

    def __init__(self, folder: Path):
        self.folder = folder
        told = json.loads((folder / "predictions.json").read_text(encoding="utf-8"))
        self.names = [category["name"] for category in told["categories"]]
        self.objects = [(one["category_id"] - 1, one["score"], one["area"]) for one in told["annotations"]]

    def wanted(self, threshold: float, class_ids) -> list[tuple[int, float, int]]:
        """(class id, score, area) of those objects, by falling score."""
        found = [one for one in self.objects if one[1] >= threshold and one[0] in class_ids]
        return sorted(found, key=lambda one: -one[1])

    def told(self, threshold: float, class_ids) -> str:
        """For example "3 objects: 2 car, 1 person"."""
        found = self.wanted(threshold, class_ids)
        counts = Counter(self.names[one[0]] for one in found).most_common()
        if not found:
            return "No object"
        return f"{len(found)} object{'s'[: len(found) > 1]}: " + ", ".join(f"{count} {name}" for name, count in counts)
