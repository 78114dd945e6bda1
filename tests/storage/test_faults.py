"""With a server that fails 10 % of the requests, an upload comes to the same bytes as without."""

import random

import numpy as np
import pytest
from drawn import draw_scene, encode
from faulty_proxy import FAULTS, Faults, seed_that_hits
from storage_servers import BUCKET, s3_objects

from campus_seg.storage_objects import address, listing, read_bytes, together
from campus_seg.tools.photos import main as photos_main

pytestmark = [pytest.mark.storage, pytest.mark.usefixtures("impatient")]
WALK = f"s3://{BUCKET}/walk"


def draw(folder, number):
    """Name -> content of photos that are drawn into a folder."""
    folder.mkdir()
    for i in range(number):
        (folder / f"{i:02}.jpg").write_bytes(encode(draw_scene(np.random.default_rng(i), 64, 48)[0]))
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("first", [0, 10000])
def test_an_upload(through, bucket, tmp_path, first):
    """What is sent has no body in answer that could be short."""
    drawn = draw(tmp_path / "walk", 60)
    kinds = tuple(kind for kind in FAULTS if kind != "short")
    sent = [("PUT", f"/{BUCKET}/walk/{name}") for name in drawn]
    faults = through(Faults(seed=seed_that_hits(sent, kinds, first), kinds=kinds))
    assert photos_main(["upload", str(tmp_path / "walk"), WALK]) == 0
    assert s3_objects(bucket) == {f"walk/{name}": content for name, content in drawn.items()}
    assert faults.of("PUT", ".jpg") == set(kinds)
    assert len(faults.hits) > 0.05 * len(faults.asked)


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_by_itself(through, bucket, tmp_path, kind):
    """Three in ten of all requests, so that it hits every kind of them: listing, asking, sending and reading."""
    drawn = draw(tmp_path / "walk", 6)
    read = [("GET", f"/{BUCKET}/walk/{name}") for name in drawn]
    faults = through(Faults(share=0.3, kinds=(kind,), seed=seed_that_hits(read, (kind,))))
    before = random.getstate()
    assert photos_main(["upload", str(tmp_path / "walk"), WALK]) == 0
    assert s3_objects(bucket) == {f"walk/{name}": content for name, content in drawn.items()}
    names = list(listing(WALK))
    contents = together(lambda name: read_bytes(address(WALK, name)), names)
    assert dict(zip(names, contents, strict=True)) == drawn
    assert faults.of("GET", ".jpg") == {kind}
    assert random.getstate() == before  # which a training saves with its checkpoints
