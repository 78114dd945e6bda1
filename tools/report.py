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
    from campus_seg.atomic_writes import check_output_file, enough_room

    if args.output:
        check_output_file(args.output)
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
    from campus_seg.engine.best import BEST_FILE
    from campus_seg.engine.sending import ORDER
    from campus_seg.evaluation.report import write_report
    from campus_seg.evaluation.run_analysis import write_analyses
    from campus_seg.evaluation.run_files import RunFiles, is_of_run
    from campus_seg.storage_folder import mirrored

    def wanted(name):  # of the models, that whose iteration the page tells
        return is_of_run(name) and (not name.endswith(".pth") or name == BEST_FILE)

    cfg = load_config(config_file, opts)
    with mirrored(cfg.OUTPUT_DIR, wanted=wanted, **ORDER) as mirror:
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
    from campus_seg.atomic_writes import write_json
    from campus_seg.config import load_config
    from campus_seg.data.datasets import dataset_name
    from campus_seg.evaluation.printed import figures_lines
    from campus_seg.evaluation.run_analysis import analyse_predictions
    from campus_seg.evaluation.run_files import is_record
    from campus_seg.storage_folder import mirrored

    cfg = load_config(config_file, opts)
    with mirrored(cfg.OUTPUT_DIR, wanted=is_record, writes=False) as mirror:
        cfg.OUTPUT_DIR = str(mirror.folder)
        analysis = analyse_predictions(cfg, dataset_name(split), predictions)
    print(*figures_lines(analysis, split), sep="\n")
    if output:
        write_json(output, analysis, indent=None)
        print(f"{output} has all figures")


def compare(folders, output):
    """Prints how runs differ from the first, and writes it as a page."""
    from campus_seg.atomic_writes import check_output_folder
    from campus_seg.engine.sending import ORDER
    from campus_seg.evaluation.printed import comparison_lines
    from campus_seg.evaluation.report import write_comparison
    from campus_seg.evaluation.run_comparison import compare_runs
    from campus_seg.evaluation.run_files import RunFiles, is_record
    from campus_seg.storage_folder import mirrored

    with ExitStack() as stack:
        others = [mirrored(folder, wanted=is_record, writes=False) for folder in folders[:-1]]
        last = mirrored(folders[-1], wanted=is_record, writes=not output, **ORDER)
        mirrors = [stack.enter_context(each) for each in (*others, last)]
        page = output or mirrors[-1].folder / "report" / "comparison.html"
        check_output_folder(page.parent)
        compared = compare_runs([RunFiles(mirror.folder, mirror.uri) for mirror in mirrors])
        print(*comparison_lines(compared), sep="\n")
        write_comparison(compared, page)
    print(f"{output or f'{mirrors[-1].shown}/report/comparison.html'} (open it in a browser) says it by class")


if __name__ == "__main__":
    main()
