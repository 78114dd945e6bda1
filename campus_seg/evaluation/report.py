"""report/index.html: one page that says how good a run is and what to put right next; it opens from disk."""

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.utils import comm
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from campus_seg.atomic_writes import replacing, write_json
from campus_seg.data.datasets import split_of
from campus_seg.errors import spared
from campus_seg.evaluation.matching import match_photos
from campus_seg.evaluation.report_origin import data_section, repeat_section
from campus_seg.evaluation.report_photos import Drawing
from campus_seg.evaluation.report_sections import (
    chart_section,
    classes_section,
    figures_section,
    suspects_section,
    training_section,
)
from campus_seg.evaluation.run_charts import difference_chart
from campus_seg.evaluation.run_comparison import RunComparison, against_run_before
from campus_seg.evaluation.run_files import RunFiles
from campus_seg.evaluation.suspects import find_suspects
from campus_seg.evaluation.weaknesses import percent, weakest_classes
from campus_seg.palette import class_colors, hex_color

logger = logging.getLogger(__name__)

PAGE, SUSPECTS_FILE = Path("report", "index.html"), Path("report", "suspects.json")  # in OUTPUT_DIR
LEARNED = 10  # mask AP50 below which a model is no judge of anything
SPLIT_NAMES = {"test": "test", "val": "validation", "train": "training"}


def report_run(cfg: CfgNode, uri: str = "") -> Path | None:
    """Writes the page of a run that was just trained or evaluated, in its main process; the others wait.

    Whatever is wrong with the page, the run has its model and its figures: it ends as it would without.

    Args:
        cfg: the run's; without CAMPUS.EVALUATION.REPORT there is no page.
        uri: that OUTPUT_DIR is a copy of, for the page and the log.

    Returns:
        The page, in the main process; None where none was made.
    """
    if not cfg.CAMPUS.EVALUATION.REPORT:
        return None
    page = None
    if comm.is_main_process():
        with spared("page", logger):
            page = write_report(cfg, uri)
            logger.info(f"What to look at first: {f'{uri}/{PAGE}' if uri else page}")
    comm.synchronize()
    return page


def write_report(cfg: CfgNode, uri: str = "") -> Path:
    """Writes report/index.html, and report/suspects.json with all suspected label errors, from a run's files.

    Args:
        cfg: the run's.
        uri: that OUTPUT_DIR is a copy of, for the page.

    Returns:
        The page.

    Raises:
        CampusError: a file of the run is gone or damaged.
    """
    run = RunFiles(Path(cfg.OUTPUT_DIR), uri)
    names = dict(enumerate(run.classes, start=1))
    drawing = Drawing(names, dict(zip(names, class_colors(len(names)), strict=True)))
    analyses = {split: run.analysis(split) for split in run.evaluated}
    analyses = {split: analysis for split, analysis in analyses.items() if analysis}
    matches = {split: match_photos(run.truths[split], run.results(split)) for split in analyses}
    found = {split: find_suspects(photos) for split, photos in matches.items()}
    judge = next(iter(analyses), None)  # the split that says most
    data = data_section(run, cfg)
    context = {
        "run": run,
        "data": data,
        "training": training_section(run, cfg),
        "repeat": repeat_section(run, cfg),
        "split_names": SPLIT_NAMES,
        "judge": judge,
        "unlearned": bool(judge) and (analyses[judge]["figures"]["segm"]["AP50"] or 0.0) < LEARNED,
        "figures": {split: figures_section(analysis, analyses.get("val")) for split, analysis in analyses.items()},
        "colors": {name: hex_color(drawing.colors[number]) for number, name in names.items()},
    }
    if judge:
        thresholds = _thresholds(analyses[judge], names)
        learned = sum((data["counts"][split_of(name)] for name in cfg.DATASETS.TRAIN), start=Counter())
        context |= {
            "before": against_run_before(run),
            "charts": chart_section(analyses[judge]),
            "weakest": weakest_classes(analyses[judge], learned, found[judge]),
            "suspects": suspects_section(run, found, drawing, thresholds),
            "classes": classes_section(run, matches[judge], drawing, thresholds),
        }
        listed = {split: [photo.as_dict(names) for photo in photos] for split, photos in found.items()}
        write_json(run.folder / SUSPECTS_FILE, listed)
    page = run.folder / PAGE
    with replacing(page) as temporary:
        temporary.write_text(render("page.html", context), encoding="utf-8")
    return page


def _thresholds(analysis: Mapping[str, Any], names: Mapping[int, str]) -> dict[int, float]:
    return {number: analysis["thresholds"]["by_class"][name] for number, name in names.items()}


def write_comparison(compared: RunComparison, page: Path) -> None:
    """Writes a page that puts runs side by side.

    Args:
        compared: of `compare_runs`.
        page: where to.
    """
    context = {
        "compared": compared,
        "last": compared.others[-1],
        "split_names": SPLIT_NAMES,
        "picture": difference_chart(compared),
    }
    with replacing(page) as temporary:
        temporary.write_text(render("comparison.html", context), encoding="utf-8")


def render(template: str, context: Mapping[str, Any]) -> str:
    """A page of report_page/: whatever comes from outside stands in it as text."""
    environment = Environment(
        loader=ChoiceLoader(
            [
                PackageLoader("campus_seg.evaluation", "report_page"),
                PackageLoader("campus_seg.inference", "gallery_page"),  # its colors.css
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"points": points, "share": share, "percent": percent, "signed": signed}
    return environment.get_template(template).render(context)


def points(value: float | None) -> str:
    """An AP of 0 … 100; a dash where there is none."""
    return "–" if value is None or value != value else f"{value:.1f}"


def share(value: float | None) -> str:
    """A figure of 0 … 1 in hundredths; a dash where there is none."""
    return "–" if value is None else f"{value:.2f}"


def signed(value: float) -> str:
    """A difference of AP, with its sign."""
    return f"{round(value, 1) + 0.0:+.1f}".replace("-", "−")  # + 0.0: no -0.0
