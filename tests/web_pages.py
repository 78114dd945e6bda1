"""The page's parts, as tests of it use them."""

import json
from collections import Counter
from pathlib import Path


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


def settled(page, percent: int, class_ids) -> None:
    """Waits until the page and its picture are as the threshold and the classes say."""
    query = f"threshold={percent / 100:g}&classes={','.join(map(str, sorted(class_ids)))}"
    page.wait_for_function(
        """query => document.querySelector("#summary [data-query]")?.dataset.query === query
          && document.querySelector("#stage").ariaBusy === "false" """,
        arg=query,
    )


def summary(page) -> str:
    return page.locator("#summary [role=status]").inner_text()


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
