"""Whether a score of 0.8 means that eight of ten such detections are right."""

from typing import Any

import numpy as np

from campus_seg.evaluation.thresholds import Ranking


def calibration(ranking: Ranking, bins: int = 10) -> dict[str, Any]:
    """Scores against the share of detections that are right.

    The expected calibration error (Guo et al. 2017, "On Calibration of Modern Neural Networks", ICML) is the gap
    between the two in bins of equal width, averaged over the detections. Without an object nothing can be right, and
    nothing is said.

    Args:
        ranking: detections of one class or of all.
        bins: how many.

    Returns:
        `ece` (None without detections or objects), and `bins` (none without objects) with `low`, `high`, `detections`,
        and their mean `score` and the share `right` (both None where the bin is empty).
    """
    if not ranking.objects:
        return {"ece": None, "bins": []}
    places = np.clip(np.floor(ranking.scores * bins).astype(int), 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    scores = np.bincount(places, ranking.scores, bins)
    right = np.bincount(places, ranking.right, bins)
    entries = [
        {
            "low": i / bins,
            "high": (i + 1) / bins,
            "detections": int(counts[i]),
            "score": float(scores[i] / counts[i]) if counts[i] else None,
            "right": float(right[i] / counts[i]) if counts[i] else None,
        }
        for i in range(bins)
    ]
    total = len(ranking.scores)
    return {"ece": float(np.abs(scores - right).sum() / total) if total else None, "bins": entries}
