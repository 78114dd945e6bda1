"""Which classes a model is weakest at, and the likely reason: a rule of thumb each, in words for people."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from campus_seg.evaluation.suspects import SuspectPhoto

FEW = 50  # objects to learn from; below it, and below half of what the middle class has
FEWEST = 20  # below it whatever the others have
SMALL_SHARE = 0.4  # of the objects
CONFUSED_SHARE = 0.1  # of the objects, taken for one other class
SUSPECT_SHARE = 0.15  # labels that are likely wrong, of all
MISSED_SHARE = 0.3  # of the objects
LOOSE = 0.75  # mean IoU of masks that are right
FEW_JUDGE = 10  # objects below which AP itself is a matter of luck


@dataclass(frozen=True)
class Weakness:
    """A class that comes off badly.

    Attributes:
        name: of the class.
        ap: of masks, 0 … 100.
        reasons: in words, the most likely first; one at least.
    """

    name: str
    ap: float
    reasons: list[str]


def weakest_classes(
    analysis: Mapping[str, Any], training: Mapping[str, int], suspects: Iterable[SuspectPhoto], most: int = 3
) -> list[Weakness]:
    """The classes with the lowest mask AP, of equal ones that with most objects; none without an object to judge by.

    Args:
        analysis: of the photos that judge.
        training: class -> objects that the model learned from.
        suspects: labels that are likely wrong in these photos.
        most: how many.
    """
    judged = [entry for entry in analysis["by_class"] if entry["figures"]["segm"]["AP"] is not None]
    judged.sort(key=lambda entry: (entry["figures"]["segm"]["AP"], -entry["objects"]))
    wrong = _suspects_by_class(suspects, analysis["classes"])
    return [
        Weakness(entry["name"], entry["figures"]["segm"]["AP"], _reasons(entry, analysis, training, wrong))
        for entry in judged[:most]
    ]


def _reasons(
    entry: Mapping[str, Any], analysis: Mapping[str, Any], training: Mapping[str, int], wrong: Mapping[str, int]
) -> list[str]:
    name, objects = entry["name"], entry["objects"]
    known = training.get(name, 0)
    middle = sorted(training.get(other, 0) for other in analysis["classes"])[len(analysis["classes"]) // 2]
    reasons = []  # (how far beyond what is normal, words)
    if known < FEWEST or known < min(FEW, middle / 2):
        reasons.append((2 + (FEW - known) / FEW, f"few objects to learn from ({known})"))
    small = entry["sizes"]["small"]["objects"] / objects
    if small >= SMALL_SHARE:
        reasons.append((small / SMALL_SHARE, f"small objects ({percent(small)} below 32 x 32 pixels)"))
    other, share = _confused_with(analysis["classes"].index(name), analysis["confusion"])
    if share >= CONFUSED_SHARE:
        reasons.append((share / CONFUSED_SHARE, f"confused with {other} ({percent(share)})"))
    suspicious = wrong.get(name, 0) / objects
    if suspicious >= SUSPECT_SHARE:
        reasons.append((suspicious / SUSPECT_SHARE, f"suspected label errors ({wrong[name]})"))
    found = entry["at_thresholds"]["share"]
    if 1 - found >= MISSED_SHARE:
        reasons.append(((1 - found) / MISSED_SHARE, f"missed or taken for something else ({percent(1 - found)})"))
    fit = entry["quality"]["iou"]
    if fit is not None and fit < LOOSE:
        reasons.append((1 + (LOOSE - fit) * 4, f"loose outlines (mean IoU {fit:.2f} where found)"))
    if objects < FEW_JUDGE:
        reasons.append((1, f"only {objects} to judge by"))
    return [words for _, words in sorted(reasons, key=lambda each: -each[0])] or ["no single reason stands out"]


def percent(value: float | None) -> str:
    """A figure of 0 … 1 as a percentage; a dash where there is none."""
    return "–" if value is None else f"{100 * value:.0f}\N{NO-BREAK SPACE}%"


def _confused_with(place: int, confusion: Mapping[str, Any]) -> tuple[str, float]:
    """The class that objects of the one at a place are most often taken for, and the share of them."""
    row = confusion["matrix"][place]
    others = [(count, other) for other, count in enumerate(row[:-1]) if other != place]  # the last is "missed"
    count, other = max(others, default=(0, 0), key=lambda each: each[0])
    return confusion["columns"][other], count / sum(row) if sum(row) else 0.0


def _suspects_by_class(suspects: Iterable[SuspectPhoto], classes: Sequence[str]) -> Counter:
    """How many labels of each class are likely wrong; a missing one counts for the class that was found.

    Without those that the model never finds: of a weak class these say more of the model.
    """
    counts: Counter = Counter()
    for photo in suspects:
        for suspect in photo.suspects:
            shape = suspect.label or suspect.found
            counts[classes[shape["category_id"] - 1]] += suspect.kind != "unseen"
    return counts
