#!/usr/bin/env python3
r"""Trains and evaluates a Mask R-CNN on a Label Studio export.

Example:
    tools/train_net.py --config-file configs/mask_rcnn_R_50_FPN.yaml \
        CAMPUS.EXPORT my_export.zip OUTPUT_DIR output/campus
"""

import logging
import shlex
from pathlib import Path

from campus_seg.environment import require_detectron2, take_large_pages
from campus_seg.errors import ConfigError, exits_on_bad_input

ADVICE = "the same command with --resume goes on from the last checkpoint, if there is one"


def parse_arguments(argv):
    """Detectron2's own arguments, under their own names."""
    from detectron2.engine import default_argument_parser

    parser = default_argument_parser(epilog=__doc__)
    parser.set_defaults(dist_url="auto")  # a free port; several machines need an address
    parser.usage = "%(prog)s --config-file FILE [options] [KEY VALUE ...]"
    args = parser.parse_args(argv)
    if not args.config_file:
        raise ConfigError("no config: give one with --config-file, such as configs/mask_rcnn_R_50_FPN.yaml")
    return args


@exits_on_bad_input(advice=ADVICE)
def main(argv=None):
    """Imports the export once, then trains or evaluates in as many processes as asked for."""
    take_large_pages()
    require_detectron2()
    from campus_seg.config import find_config_file, load_config, use_run_weights
    from campus_seg.engine.run import check_not_begun
    from campus_seg.engine.sending import ORDER
    from campus_seg.engine.together import prepare_together
    from campus_seg.evaluation.run_files import is_of_run
    from campus_seg.launching import launch
    from campus_seg.machines import Machines
    from campus_seg.processes import check_processes
    from campus_seg.storage import is_uri, shown
    from campus_seg.storage_folder import mirrored

    args = parse_arguments(argv)
    with Machines(args.num_machines, args.machine_rank, args.dist_url, ADVICE) as machines:  # told of all that follows
        cfg = load_config(args.config_file, args.opts)
        if args.eval_only:
            use_run_weights(cfg, args.config_file, args.opts)
        if not is_uri(args.config_file):
            args.config_file = str(find_config_file(args.config_file))
        if is_uri(cfg.OUTPUT_DIR) and args.num_machines > 1:
            raise ConfigError(
                f"OUTPUT_DIR {shown(cfg.OUTPUT_DIR)}: several machines want a folder on a disk that all share"
            )
        on = check_processes(args.num_gpus, args.num_machines, cfg.MODEL.DEVICE)
        how = {"given": args.opts[::2], "eval_only": args.eval_only, "resume": args.resume}
        check = None if args.resume or args.eval_only else check_not_begun
        with mirrored(cfg.OUTPUT_DIR, check=check, wanted=is_of_run, **ORDER) as mirror:
            cfg.OUTPUT_DIR, args.output_uri = str(mirror.folder), mirror.uri
            prepared = prepare_together(cfg, machines, **how, processes=args.num_gpus * args.num_machines)
            if on:
                prepared = prepared._replace(remarks=[(logging.INFO, on), *prepared.remarks])
            cfg.freeze()
            launch(run, (cfg, args, prepared), processes=args.num_gpus, machines=machines)


def run(cfg, args, prepared):
    """One process of a run."""
    from detectron2.utils import comm

    from campus_seg.data.datasets import register_datasets
    from campus_seg.engine.preflight import dry_run
    from campus_seg.engine.replicas import check_same_weights
    from campus_seg.engine.run import log_import, setup_run, write_config
    from campus_seg.engine.sending import SendRun
    from campus_seg.engine.trainer import Trainer, evaluate
    from campus_seg.evaluation.report import report_run
    from campus_seg.modeling.mini_backbone import register_mini_backbone
    from campus_seg.modeling.weights_file import read_checkpoint

    require_detectron2()
    logger = logging.getLogger("campus_seg")
    output_dir = Path(cfg.OUTPUT_DIR)
    register_mini_backbone()
    register_datasets(output_dir, cfg.CAMPUS.CLASSES)
    setup_run(cfg, args)
    shown = args.output_uri or cfg.OUTPUT_DIR
    log_import(cfg, shown)
    for level, remark in prepared.remarks:
        logger.log(level, remark)
    if args.eval_only:
        results = evaluate(cfg, shown)
        report_run(cfg, args.output_uri)
        return results
    trainer = Trainer(cfg)
    if args.resume and trainer.checkpointer.has_checkpoint():
        trainer.resume_or_load(resume=True)
        logger.info(f"Going on at iteration {trainer.start_iter} of {trainer.max_iter}")
        if trainer.start_iter >= trainer.max_iter:
            key = "CAMPUS.EPOCHS" if cfg.CAMPUS.EPOCHS else "SOLVER.MAX_ITER"
            logger.warning(f"Nothing is left to train; a larger {key} would go on")
    elif prepared.starts:
        trainer.start_from(read_checkpoint(cfg.MODEL.WEIGHTS))
    else:
        logger.info("Starting from scratch: MODEL.WEIGHTS is empty")
    check_same_weights(trainer.model, cfg.OUTPUT_DIR if trainer.start_iter else cfg.MODEL.WEIGHTS)
    if trainer.start_iter < trainer.max_iter:
        dry_run(trainer.model, cfg)
    write_config(cfg, shown)
    if args.output_uri and comm.is_main_process():
        trainer.register_hooks([SendRun(args.output_uri, cfg)])
    results = trainer.train()
    page = report_run(cfg, args.output_uri)
    lies = "the model, its figures and report/index.html lie" if page else "the model and its figures lie"
    config = shlex.quote(f"{shown}/config.yaml")
    logger.info(
        f"Done: {lies} in {shown}. To mask photos:\n"
        f"  python tools/visualize.py --config-file {config} --input photos/ --output masked/"
    )
    return results


if __name__ == "__main__":
    main()
