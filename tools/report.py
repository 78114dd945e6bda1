#!/usr/bin/env python3
"""Writes a run's page anew, puts several runs side by side, or judges predictions in a file by a run's labels.

Examples:
    tools/report.py --config-file output/campus/config.yaml
    tools/report.py --compare output/campus output/campus2
    tools/report.py --config-file output/campus/config.yaml --predictions masked/predictions.json --split test

Nothing is predicted: what evaluations and visualize.py left in files is enough. Exit status 2 for bad input.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path

from campus_seg.data.splits import SPLITS
from campus_seg.environment import require_detectron2
from campus_seg.errors import ConfigError, exits_on_bad_input


def get_parser():
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config-file", metavar="FILE", help="a run's config.yaml: writes report/index.html beside it")
    what.add_argument("--compare", nargs="+", metavar="RUN", help="folders or URIs of runs; the others with the first")
    parser.add_argument(
        "--predictions",
        metavar="FILE",
        type=Path,
        help="predictions.json of visualize.py or coco_instances_results.json: prints their figures instead of a page",
    )
    parser.add_argument("--split", choices=SPLITS, help="of --predictions; test, or as their folder says")
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="the page of --compare (report/comparison.html in the last RUN); the figures of --predictions as JSON",
    )
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], metavar="KEY VALUE", help="give them last")
    return parser


@exits_on_bad_input
def main(argv=None):
    """Runs the command."""
    args = get_parser().parse_args(argv)
    if args.compare and len(args.compare) < 2:
        raise ConfigError(f"--compare {args.compare[0]}: give two runs or more, the one to compare with first")
    if args.output and not (args.compare or args.predictions):
        raise ConfigError(f"--output {args.output}: is not for a run's page, which lies in the run's own folder")
    if (args.predictions or args.split) and not (args.config_file and args.predictions):
        raise ConfigError("--predictions and --split: go with --config-file, the run whose labels they are judged by")
    if args.output and args.output.is_dir():
        raise ConfigError(f"--output {args.output}: is a folder; give a file")
    if args.compare and args.opts:
        raise ConfigError("--opts: go with --config-file; --compare takes no keys")
    require_detectron2()
    from campus_seg.atomic_writes import enough_room

    with enough_room(args.output or "report", "run it again"):
        if args.compare:
            compare(args.compare, args.output)
        elif args.predictions:
            split = args.split or evaluated_split(args.predictions)
            judge(args.config_file, args.predictions, split, args.output, args.opts)
        else:
            report(args.config_file, args.opts)


def report(config_file, opts):
    """Writes the page of a run, and first what an earlier version did not: the analyses of its evaluations."""
    from campus_seg.atomic_writes import check_output_folder
    from campus_seg.config import load_config
    from campus_seg.engine.sending import ORDER
    from campus_seg.evaluation.report import write_report
    from campus_seg.evaluation.run_analysis import write_analyses
    from campus_seg.evaluation.run_files import RunFiles, is_of_run
    from campus_seg.modeling.checkpoint import is_periodic
    from campus_seg.storage_folder import mirrored

    cfg = load_config(config_file, opts)
    with mirrored(cfg.OUTPUT_DIR, wanted=lambda name: is_of_run(name) and not is_periodic(name), **ORDER) as mirror:
        cfg.OUTPUT_DIR = str(mirror.folder)
        check_output_folder(mirror.folder)
        run = RunFiles(mirror.folder)
        if cfg.MODEL.MASK_ON and any(run.analysis(split) is None for split in run.evaluated):
            cfg.DATASETS.TEST = tuple(f"campus_{split}" for split in run.evaluated)
            write_analyses(cfg)
        page = write_report(cfg, mirror.uri).relative_to(mirror.folder)
    print(f"{mirror.shown}/{page} (open it in a browser)")


def evaluated_split(predictions):
    """The split in whose folder of an evaluation a file lies; else the one for testing."""
    from campus_seg.data.datasets import dataset_name

    return next((split for split in SPLITS if predictions.absolute().parent.name == dataset_name(split)), "test")


def judge(config_file, predictions, split, output, opts):
    """Prints what predictions in a file are worth by the labels of a run's photos; writes it as JSON where asked."""
    from detectron2.utils.logger import create_small_table

    from campus_seg.atomic_writes import check_output_folder, write_json
    from campus_seg.config import load_config
    from campus_seg.data.datasets import dataset_name
    from campus_seg.evaluation.run_analysis import analyse_predictions
    from campus_seg.evaluation.run_files import is_record
    from campus_seg.storage_folder import mirrored

    cfg = load_config(config_file, opts)
    if output:
        check_output_folder(output.parent)
    with mirrored(cfg.OUTPUT_DIR, wanted=is_record, writes=False) as mirror:
        cfg.OUTPUT_DIR = str(mirror.folder)
        analysis = analyse_predictions(cfg, dataset_name(split), predictions)
    for task, figures in analysis["figures"].items():
        known = {name: value for name, value in figures.items() if name.startswith("AP") and value is not None}
        print(f"{task}, {analysis['photos']} {split} photos, {analysis['objects']} objects:")
        print(create_small_table(known) if known else "no object to judge by")
    for entry in analysis["by_class"]:
        ap = entry["figures"]["segm"]["AP"]
        print(f"  {entry['name']}: {entry['reason'] if ap is None else f'mask AP {ap:.1f}'}")
    if output:
        write_json(output, analysis, indent=None)
        print(f"{output} has all figures")


def compare(folders, output):
    """Prints how runs differ from the first, and writes it as a page."""
    from campus_seg.atomic_writes import check_output_folder
    from campus_seg.engine.sending import ORDER
    from campus_seg.evaluation.report import write_comparison
    from campus_seg.evaluation.run_comparison import compare_runs
    from campus_seg.evaluation.run_files import RunFiles, is_record
    from campus_seg.storage_folder import mirrored

    with ExitStack() as stack:
        writes = [not output and folder == folders[-1] for folder in folders]
        mirrors = [
            stack.enter_context(mirrored(folder, wanted=is_record, writes=written, **ORDER))
            for folder, written in zip(folders, writes, strict=True)
        ]
        page = output or mirrors[-1].folder / "report" / "comparison.html"
        check_output_folder(page.parent)
        compared = compare_runs([RunFiles(mirror.folder, mirror.uri) for mirror in mirrors])
        tell(compared)
        write_comparison(compared, page)
    print(f"{output or f'{mirrors[-1].shown}/report/comparison.html'} (open it in a browser) says it by class")


def tell(compared):
    """Prints how runs differ."""
    print(f"Mask AP on the {compared.photos} {compared.split} photos that all runs were evaluated on")
    print(f"  {compared.overall[0].first:5.1f}  {compared.base.place}")
    for run, difference in zip(compared.others, compared.overall, strict=True):
        interval = f"95 % of draws {difference.low:+.1f} to {difference.high:+.1f}"
        print(f"  {difference.second:5.1f}  {run.place} ({difference.value:+.1f}, {interval}: {difference.verdict})")
    if compared.left_out:
        print(f"  Left out, since not all runs know them: {', '.join(compared.left_out)}")


if __name__ == "__main__":
    main()
