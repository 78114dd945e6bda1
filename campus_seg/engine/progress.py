"""One progress bar on a terminal, in the place of Detectron2's log lines, which log.txt keeps."""

import contextlib
import logging
import sys

from detectron2.engine.hooks import PeriodicWriter
from detectron2.utils import comm
from detectron2.utils.events import EventWriter, get_event_storage
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

METRIC_LINES = "detectron2.utils.events"  # the logger of Detectron2's CommonMetricPrinter
LOGGERS = ("detectron2", "fvcore", "campus_seg")
WINDOW = 20  # iterations whose median is shown, as in the log lines


def progress_bar(max_iter: int) -> list[PeriodicWriter]:
    """The hook that moves the bar after each step, where there is a terminal to draw it on; else nothing."""
    if not (comm.is_main_process() and sys.stdout.isatty()):
        return []
    return [PeriodicWriter([ProgressBar(max_iter)], period=1)]


class ProgressBar(EventWriter):
    """Iterations, time left and losses on standard output; other log lines go above it.

    Args:
        max_iter: iterations of the whole run.
    """

    def __init__(self, max_iter: int):
        self.max_iter = max_iter
        self._bar: tqdm | None = None
        self._console = contextlib.ExitStack()

    def write(self) -> None:
        """Moves the bar to the storage's iteration."""
        storage = get_event_storage()
        if storage.iter >= self.max_iter:  # after the last step, when all has been shown
            return
        if self._bar is None:
            self._open(storage.iter)
        losses = [
            f"{name.removeprefix('loss_')} {history.median(storage.count_samples(name, WINDOW)):.3f}"
            for name, history in storage.histories().items()
            if name == "total_loss" or name.startswith("loss_")
        ]
        self._bar.set_postfix_str("  ".join(sorted(losses, key=lambda text: "total_loss" not in text)), refresh=False)
        self._bar.update(storage.iter + 1 - self._bar.n)

    def close(self) -> None:
        """Leaves the bar as it stands, and the console to the log again."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._console.close()

    def _open(self, iteration: int) -> None:
        loggers = [logging.getLogger(name) for name in LOGGERS]
        for handler in {handler for each in loggers for handler in each.handlers}:
            if getattr(handler, "stream", None) is sys.stdout:
                handler.addFilter(_no_metric_lines)
                self._console.callback(handler.removeFilter, _no_metric_lines)
        self._console.enter_context(logging_redirect_tqdm(loggers))
        self._bar = tqdm(
            total=self.max_iter,
            initial=iteration,
            file=sys.stdout,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar:12}| {n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}",
        )


def _no_metric_lines(record: logging.LogRecord) -> bool:
    return record.name != METRIC_LINES
