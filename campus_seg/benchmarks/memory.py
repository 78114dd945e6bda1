"""How much memory a process took."""

import resource
import sys
from pathlib import Path


def peak_mb(children: bool = False) -> float:
    """The largest resident memory of this process so far in MB.

    Args:
        children: add that of the largest process which this one started and waited for.
    """
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, else KiB
    own, started = (resource.getrusage(w).ru_maxrss * unit for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts into ru_maxrss what the process that started this one had
        own = 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
    return (own + children * started) / 1e6
