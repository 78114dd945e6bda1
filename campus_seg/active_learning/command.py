"""What `rank` of tools/label_studio.py does and says: from a pulled project to a table, and back into the project."""

import argparse
from pathlib import Path

from campus_seg.active_learning.observer import Observer
from campus_seg.active_learning.ranking import Ranking, rank_tasks, write_ranking
from campus_seg.atomic_writes import check_output_file
from campus_seg.config import load_config, use_run_weights
from campus_seg.errors import ExportError
from campus_seg.inference.predictor import Predictor
from campus_seg.label_studio.checking import naming_arguments, printable
from campus_seg.label_studio.client import Client
from campus_seg.label_studio.scores import push_scores
from campus_seg.label_studio.tasks import Tasks, read_tasks
from campus_seg.storage import base_name

FIRST = 10  # places that are printed


def rank_export(args: argparse.Namespace, client: Client | None) -> int:
    """Ranks the unlabelled tasks of an export.

    Args:
        args: of tools/label_studio.py: export, image_root, config_file, output, limit and opts.
        client: the project that gets the order, or None.

    Returns:
        The exit status: 3 where photos are missing or unreadable, which are named; else 0.

    Raises:
        CampusError: the export, the run or a key cannot be used, no task is unlabelled, or the project takes no scores.
    """
    check_output_file(args.output)
    cfg = load_config(args.config_file, args.opts)
    use_run_weights(cfg, args.config_file, args.opts)
    cfg.freeze()
    with naming_arguments():
        tasks = read_tasks(args.export, args.image_root)
    count = unlabelled_photos(args.export, tasks)
    predictor = Predictor(cfg)
    print(f"{cfg.MODEL.WEIGHTS} on {cfg.MODEL.DEVICE}, {predictor.engine}, unlabelled photos: {count}")
    ranking = rank_tasks(Observer(predictor), predictor.class_names, tasks, args.limit)
    if not ranking.tasks:
        raise ExportError(
            f"{args.export}: none of its unlabelled photos can be read, such as {_first(ranking.failures)}"
        )
    write_ranking(args.output, ranking.tasks, predictor.class_names)
    for number, each in enumerate(ranking.tasks[:FIRST], start=1):
        print(printable(f"{number:>3}  task {each.task.id}  {base_name(str(each.task.path))}"))
    print(f"{len(ranking.tasks)} tasks in {args.output}")
    left = push_order(client, ranking) if client else 0
    if tasks.missing:
        print(printable(f"photos that are missing: {len(tasks.missing)}, such as {tasks.missing[0]}; pull brings them"))
    if ranking.failures:
        print(printable(f"photos that cannot be read: {len(ranking.failures)}, such as {_first(ranking.failures)}"))
    return 3 if left or tasks.missing or ranking.failures else 0


def push_order(client: Client, ranking: Ranking) -> int:
    """Writes the order into the project, and says so; how many tasks could not be given their score."""
    pushed = push_scores(client, {each.task.id: each.score for each in ranking.tasks})
    print(printable(f"{client.name}: scores of {pushed.scored} predictions, version {pushed.version}"))
    if pushed.labelled:
        print(f"labelled by now: {pushed.labelled} of the ranked tasks")
    if pushed.without:
        print(
            f"without a score: {len(pushed.without)} tasks that have no prediction of this version, the first is task "
            f"{pushed.without[0]}; push gives them one"
        )
    return len(pushed.without)


def unlabelled_photos(export: str, tasks: Tasks) -> int:
    """How many photos wait for a label.

    Raises:
        ExportError: there are none, or none of them was found.
    """
    if not tasks.unlabelled:
        raise ExportError(f"{export}: no task in it is unlabelled; add photos to the project, and pull it again")
    count = sum(task.path is not None for task in tasks.unlabelled)
    if not count:
        raise ExportError(
            f"{export}: the photos of its {len(tasks.unlabelled)} unlabelled tasks are missing, such as "
            f"{tasks.unlabelled[0].name}; say where they lie with --image-root"
        )
    return count


def _first(failures: dict[Path, str]) -> str:
    path, reason = next(iter(failures.items()))
    return f"{path} ({reason})"
