#!/usr/bin/env python3
"""The main job on drawn photos, end to end: the commands that a user types, one after the other.

Exit status 1 where the model is worse than it should be; the time does not count.
"""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The least mask AP and AP50 on the test split (0 to 100), and the fewest photos that make them worth saying.
LEAST_AP, LEAST_AP50, LEAST_PHOTOS = 35, 70, 60


def run(title, *command):
    """Shows a command, runs it and returns its seconds; the demo ends where it fails."""
    shown = shlex.join(map(str, command))
    print(f"\n=== {title}\n    python {shown}\n", flush=True)
    start = time.monotonic()
    done = subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"the demo ends here: python {shown} gave exit status {done.returncode}")
    return time.monotonic() - start


def main(argv=None):
    """Draws, trains, evaluates and masks; names every result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default="output/demo", help="folder of the run; an earlier one is replaced")
    output = Path(parser.parse_args(argv).output)
    folder = ROOT / output
    if folder.exists():
        if any(folder.iterdir()) and not (folder / "sample.zip").is_file():
            raise SystemExit(f"{folder}: is no earlier demo and stays as it is; give another --output")
        shutil.rmtree(folder)
    export = output / "sample.zip"
    seconds = {}
    seconds["drawing"] = run(
        "1 of 3: drawn photos, packed as a Label Studio export",
        *("datasets/make_sample.py", "--output", export),
    )
    seconds["training"] = run(
        "2 of 3: import, split, train from scratch, evaluate",
        *("tools/train_net.py", "--config-file", "configs/mask_rcnn_mini_FPN.yaml"),
        *("CAMPUS.EXPORT", export, "OUTPUT_DIR", output),
    )
    seconds["masking"] = run(
        "3 of 3: masks for the test photos",
        *("tools/visualize.py", "--config-file", output / "config.yaml"),
        *("--input", output / "import/campus_test.json", "--output", output / "masked"),
    )
    metrics = json.loads((ROOT / output / "inference/campus_test/metrics.json").read_text(encoding="utf-8"))
    photos = len(json.loads((ROOT / output / "split.json").read_text(encoding="utf-8"))["test"])
    summarise(output, metrics["segm"], photos, seconds)
    good = metrics["segm"]["AP"] >= LEAST_AP and metrics["segm"]["AP50"] >= LEAST_AP50 and photos >= LEAST_PHOTOS
    return 0 if good else 1


def summarise(output, segm, photos, seconds):
    """Says what came out, where it lies and how long it took."""
    names = {
        "import_report.json": "what was imported, and every remark on it",
        "split.json": "which photos train, choose and judge",
        "config.yaml": "all that predicting needs, beside the weights",
        "model_best.pth": "the trained model, as it was when it did best on the validation photos",
        "losses.png": "the losses on train, val and test",
        "report/index.html": "the page that says how good it is and what to put right next",
        "inference/campus_test/metrics.json": "COCOEvaluator's figures",
        "masked/index.html": "the masked test photos, to look through in a browser",
        "masked/overlay/": "the test photos with their masks drawn in",
        "masked/binary/": "white where there is an object",
        "masked/rgb/": "one colour a class; masked/legend.json says which",
        "masked/instances/": "one number an object",
        "masked/cutouts/": "every object by itself",
        "masked/predictions.json": "all of it as COCO",
        "masked/summary.csv": "a row an object, for a spreadsheet",
    }
    print(f"\n=== Results, in {output}/")
    for name, meaning in names.items():
        print(f"    {name:36}{meaning}")
    print(
        f"\nMask AP {segm['AP']:.1f} (at least {LEAST_AP}), AP50 {segm['AP50']:.1f} (at least {LEAST_AP50}) "
        f"on {photos} test photos (at least {LEAST_PHOTOS})."
    )
    print("Seconds: " + ", ".join(f"{name} {value:.0f}" for name, value in seconds.items()))
    print("Now with your own photos: see README.md.")


if __name__ == "__main__":
    sys.exit(main())
