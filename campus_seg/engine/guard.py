"""What can go wrong in a training step, told in one line that names the photos and the way out."""

import contextlib
from collections.abc import Iterable, Iterator

import cv2
from detectron2.config import CfgNode
from detectron2.utils import comm

from campus_seg.errors import TrainingError

# How torch on CPUs, OpenCV and a loader's worker say it; torch on GPUs and numpy have exceptions of their own.
NO_MEMORY = ("out of memory", "can't allocate memory", "Insufficient memory", "is killed by signal", "shared memory")


class NamedBatches:
    """A data loader that keeps the file names of the batch it gave last, for an error to name.

    Args:
        loader: gives lists of Detectron2's dataset dicts.

    Attributes:
        file_names: of the last batch; of this process, where there are several.
    """

    def __init__(self, loader: Iterable[list[dict]]):
        self.loader = loader
        self.file_names: list[str] = []

    def __iter__(self) -> Iterator[list[dict]]:
        for batch in self.loader:
            self.file_names = [photo["file_name"] for photo in batch]
            yield batch


@contextlib.contextmanager
def clear_failures(when: str, batches: NamedBatches, cfg: CfgNode) -> Iterator[None]:
    """Turns losses that are no numbers and a lack of memory, in the block, into errors for the user.

    Args:
        when: what is going on, for the message.
        batches: where the photos came from.
        cfg: the run's config, of which the message says what to lower.

    Raises:
        TrainingError: as said.
    """
    try:
        yield
    except FloatingPointError as error:
        where = " (or of another process)" if comm.get_world_size() > 1 else ""
        reason = str(error).splitlines()[-1]
        raise TrainingError(
            f"{when}: the losses are no numbers any more ({reason}); the photos{where} are "
            f"{', '.join(batches.file_names)}; look at their labels, or lower SOLVER.BASE_LR "
            f"({cfg.SOLVER.BASE_LR:g}); earlier checkpoints are kept"
        ) from error
    except (RuntimeError, MemoryError, cv2.error) as error:
        if not (isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY)):
            raise
        raise TrainingError(
            f"{when}: out of memory on {cfg.MODEL.DEVICE}; lower SOLVER.IMS_PER_BATCH ({cfg.SOLVER.IMS_PER_BATCH}) or "
            f"CAMPUS.INPUT_SIZE ({cfg.CAMPUS.INPUT_SIZE})"
        ) from error
