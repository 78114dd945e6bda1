"""Photos looked at by a run's model: what it finds, how sure it is, and what its backbone makes of the whole."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from campus_seg.active_learning.uncertainty import Look, look_of
from campus_seg.inference.pipeline import Pipeline
from campus_seg.inference.predictor import Predictor
from campus_seg.photos import PhotoError, pixel_count, read_photo


class Observer:
    """A predictor that also gives a feature of each photo: the mean of the coarsest map that its ROI heads look at.

    Args:
        predictor: whatever computes it.
    """

    def __init__(self, predictor: Predictor):
        self._predictor = predictor
        self._level = predictor.model.roi_heads.in_features[-1]
        self._map: Tensor | None = None
        predictor.model.backbone.register_forward_hook(self._keep)

    def _keep(self, backbone: nn.Module, inputs: tuple[Tensor], features: dict[str, Tensor]) -> None:
        self._map = features[self._level]

    def look(self, photo: np.ndarray) -> Look:
        """What the model makes of a photo.

        Args:
            photo: (H, W, 3) uint8, BGR, upright.
        """
        (instances,) = self._predictor([photo])
        return look_of(
            instances.scores.numpy(),
            instances.pred_classes.numpy(),
            instances.pred_masks[:, 0].float().numpy(),
            self._map[0].float().mean(dim=(1, 2)).cpu().numpy(),
            len(self._predictor.class_names),
        )

    def look_at(self, paths: Sequence[Path]) -> Iterator[tuple[Path, Look | PhotoError]]:
        """Looks at files, which are read ahead; yields each in its order, with why it cannot be read where so."""
        pipeline = Pipeline(
            read_photo,
            lambda photos: [self.look(photo) for photo in photos],
            _checked,
            cost=pixel_count,
            expected=(PhotoError,),
        )
        yield from pipeline.run(paths)


def _checked(path: Path, photo: np.ndarray, look: Look) -> Look | PhotoError:
    """One number that is none would spoil the distances of all photos."""
    return look if np.isfinite(look.feature).all() else PhotoError("the model's numbers for it are not finite")
