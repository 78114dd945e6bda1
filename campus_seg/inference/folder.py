"""A folder of photos and videos, masked: read, predict, write; stopped at any moment, it goes on where it was."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.structures import Instances
from detectron2.utils import comm
from tqdm import tqdm

from campus_seg.atomic_writes import enough_room, remove_leftovers
from campus_seg.errors import GOES_ON, ConfigError, StorageError
from campus_seg.inference.gallery import THUMBNAILS, write_gallery
from campus_seg.inference.inputs import InputPhoto
from campus_seg.inference.journal import Journal, stamped
from campus_seg.inference.lists import write_lists
from campus_seg.inference.outputs import OUTPUTS, VIDEOS, PictureWriter, check_apart
from campus_seg.inference.paste import found_objects
from campus_seg.inference.pipeline import Pipeline
from campus_seg.inference.regions import FoundObject
from campus_seg.inference.selection import Selection
from campus_seg.inference.summary import Counts, write_summary_csv
from campus_seg.inference.video import mask_video, video_outputs
from campus_seg.palette import class_colors
from campus_seg.photos import PhotoError, pixel_count, read_photo
from campus_seg.read_ahead import read_ahead
from campus_seg.storage import IN_A_ROW, shown

Predict = Callable[[Sequence[np.ndarray]], list[Instances]]
ALL = Selection()


@dataclass(frozen=True)
class Summary:
    """What became of a folder.

    Attributes:
        counts: of all its photos; of several processes only the first one counts.
        earlier: those of the photos that were masked already when the command began.
        seconds: how long the others took, in the process that took longest.
        videos: file name -> frames, of those that were masked.
        failed_videos: how many could not be read.
    """

    counts: Counts
    earlier: int = 0
    seconds: float = 0.0
    videos: dict[str, int] = field(default_factory=dict)
    failed_videos: int = 0


def mask_photos(
    predict: Predict,
    class_names: Sequence[str],
    photos: Sequence[InputPhoto],
    output: Path,
    save: Collection[str] = OUTPUTS,
    *,
    videos: Sequence[InputPhoto] = (),
    selection: Selection = ALL,
    made_with: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Summary:
    """Masks photos and writes their outputs; a photo that cannot be read is listed and the rest goes on.

    Several processes of one `launch` share the photos out among them; each has to be given all of them.

    Args:
        predict: a `Predictor`, or what behaves like one; it is given as many photos at once as its `batch` says.
        class_names: in the order of its outputs.
        photos: from `find_photos`.
        output: the folder to write to. Photos that an earlier command with the same options has masked there are not
            masked again.
        save: some of `OUTPUTS`.
        videos: from `find_photos`; masked after the photos, each by one process.
        selection: which objects count.
        made_with: what else the results depend on, as JSON can hold it: results of something else are not mixed.
        overwrite: begin anew.

    Raises:
        ConfigError: the output folder cannot be written to, holds results made with something else, or holds a photo
            among the outputs of an earlier run.
        OutputError: the disk is full; what was masked so far is kept.
        StorageError: a server refuses several photos in a row, or cannot be asked; likewise.
    """
    selection.check(class_names)
    check_apart((*photos, *videos), output)
    photos, videos = stamped(photos), stamped(videos)
    writer = PictureWriter(output, class_names, save)
    made_with = {
        "list of classes": list(class_names),
        "--save": sorted(save),
        **selection.made_with,
        **(made_with or {}),
    }

    def read(photo: InputPhoto) -> np.ndarray:
        if photo.fault:
            raise PhotoError(photo.fault)
        return read_photo(photo.path)

    def objects(instances: Instances) -> Iterator[FoundObject]:
        found = found_objects(selection.of(instances, class_names))
        return (one for one in found if one.region.area >= selection.min_area)

    def write(photo: InputPhoto, image: np.ndarray, instances: Instances) -> dict[str, Any]:
        return writer.draw(photo, image, objects(instances))

    rank, processes = comm.get_rank(), comm.get_world_size()
    if rank:
        comm.synchronize()  # the first process has begun anew where that is wanted
    with enough_room(output, GOES_ON), Journal(output, made_with, process=rank, overwrite=overwrite) as journal:
        if not rank:
            remove_leftovers(output)
            for name in (*OUTPUTS, VIDEOS, THUMBNAILS):
                remove_leftovers(output / name, below=True)
            comm.synchronize()
        left = [photo for photo in photos if not journal.has(photo, writer.pictures(photo))]
        videos_left = [video for video in videos if not journal.has(video, video_outputs(video, writer))]
        left, videos_left = as_the_first_sees_it([*left, *videos_left], photos, videos)  # and only now all write
        earlier, mine = len(photos) - len(left), left[rank::processes]
        pipeline = Pipeline(
            read,
            predict,
            write,
            cost=lambda photo: pixel_count(photo.path),
            expected=(PhotoError,),
            batch=getattr(predict, "batch", 1),
        )
        refused = 0  # one after the other
        began = time.perf_counter()
        with tqdm(desc="masking", unit="photo", total=earlier + len(mine), initial=earlier, disable=None) as bar:
            for photo, result in pipeline.run(read_ahead(mine, lambda photo: photo.path)):
                if isinstance(result, PhotoError):
                    refused += result.refused
                    if refused == IN_A_ROW:
                        raise StorageError(f"{shown(str(photo.path))}: {result}; so are the {IN_A_ROW - 1} before it")
                    writer.remove(photo)
                    result = {"reason": str(result)}
                else:
                    refused = 0
                journal.add(photo, result)
                bar.update()
        seconds = time.perf_counter() - began
        for video in videos_left[rank::processes]:
            journal.add(video, mask_video(video, predict, objects, writer, journal))
        journal.sync()
        comm.synchronize()
        journal.read()
        counts, frames = Counts(0, 0, {}, 0), {}
        if not rank:
            write_lists(output, journal, photos, class_names, videos)
            colors = class_colors(len(class_names))
            counts = write_summary_csv(output / "summary.csv", journal.records(photos), class_names)
            masked = [record for record in journal.records(videos) if "video" in record]
            frames = {record["file_name"]: record["video"]["frames"] for record in masked}
            movies = [record["name"] for record in masked] if "overlay" in save else []
            write_gallery(
                output, journal.records(photos), class_names, colors, overlays="overlay" in save, videos=movies
            )
        comm.synchronize()
        seconds = max(comm.gather(seconds), default=0.0)
        return Summary(counts, earlier, seconds, frames, len(videos) - len(frames))


def as_the_first_sees_it(
    left: Sequence[InputPhoto], photos: Sequence[InputPhoto], videos: Sequence[InputPhoto]
) -> tuple[list[InputPhoto], list[InputPhoto]]:
    """The photos and the videos that are left, the same in every process and in the same order.

    What each sees by itself may differ on a network's disk for a while: then one would be nobody's.

    Args:
        left: by this process's own view.
        photos: all of them.
        videos: all of them.

    Raises:
        ConfigError: the processes see other inputs.
    """
    by_name = {photo.file_name: photo for photo in (*photos, *videos)}
    views = comm.all_gather((list(by_name), [photo.file_name for photo in left]))
    first, wanted = views[0]
    for names, _ in views:
        other = set(names) ^ set(first)
        if other:
            raise ConfigError(f"--input: {min(other)} is not there for all processes; let all see the same folders")
    are_videos = set(videos)
    chosen = [by_name[name] for name in wanted]
    return [one for one in chosen if one not in are_videos], [one for one in chosen if one in are_videos]
