"""The hook that brings a run behind a URI as it goes."""

import logging
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.engine import HookBase

from campus_seg.engine.best import ASIDE_FILE
from campus_seg.errors import StorageError
from campus_seg.modeling.checkpoint import TAG
from campus_seg.storage_mirror import Mirror

logger = logging.getLogger(__name__)

# Weights come after metrics.json, which has to be as new as they, and after the best model that the tagged checkpoint
# knows; then the tag.
ORDER = {"late": (ASIDE_FILE, "*.pth"), "witnesses": (TAG,)}


class SendRun(HookBase):
    """Sends OUTPUT_DIR after every checkpoint and evaluation, in the main process; the command sends the end.

    It comes after the hooks that write these. A server that is away for a while ends no training: what could not be
    sent is sent the next time.
    """

    def __init__(self, uri: str, cfg: CfgNode):
        """Called with the URI and the run's config, whose OUTPUT_DIR is the folder on this disk."""
        self._mirror = Mirror(Path(cfg.OUTPUT_DIR), uri, **ORDER)
        self._periods = [period for period in (cfg.SOLVER.CHECKPOINT_PERIOD, cfg.TEST.EVAL_PERIOD) if period > 0]

    def after_step(self) -> None:
        """Sends where it is time; Detectron2's hook interface."""
        done = self.trainer.iter + 1
        if any(done % period == 0 for period in self._periods):
            try:
                self._mirror.send()
            except (StorageError, OSError) as error:
                logger.warning(f"{error}; the run goes on, and this is tried again later")
