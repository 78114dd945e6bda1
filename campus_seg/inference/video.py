"""A masked video: every frame as a photo would be masked, and the frames' tables beside it.

The frames' records are in the folder's journal, so that a stopped command predicts no frame again: it draws those that
it has into the new file and goes on after them.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.structures import Instances
from tqdm import tqdm

from campus_seg.atomic_writes import replacing
from campus_seg.inference.inputs import InputPhoto
from campus_seg.inference.journal import Journal
from campus_seg.inference.lists import write_coco
from campus_seg.inference.outputs import VIDEOS, PictureWriter
from campus_seg.inference.pipeline import Pipeline
from campus_seg.inference.regions import FoundObject, Region
from campus_seg.inference.summary import write_summary_csv
from campus_seg.photos import PhotoError, photo_file
from campus_seg.videos import Frame, VideoReader, VideoWriter


def video_outputs(video: InputPhoto, writer: PictureWriter) -> list[str]:
    """Paths, below the output folder, of what is written of a video."""
    endings = (*([".mp4"] if "overlay" in writer.save else []), ".json", ".csv")
    return [f"{VIDEOS}/{video.name}{ending}" for ending in endings]


def mask_video(
    video: InputPhoto,
    predict: Callable[[Sequence[np.ndarray]], list[Instances]],
    objects: Callable[[Instances], Iterable[FoundObject]],
    writer: PictureWriter,
    journal: Journal,
) -> dict[str, Any]:
    """Masks a video and writes its outputs.

    Args:
        video: which.
        predict: see `mask_photos`.
        objects: those of a frame's instances that count.
        writer: draws the frames, where overlays are asked for.
        journal: has the records of the frames done earlier, and gets those of the others.

    Returns:
        The video's own record: {"video": {"frames": how many}}, or {"reason": …} where it cannot be read; then earlier
        outputs of it are removed.
    """
    outputs = [writer.folder / path for path in video_outputs(video, writer)]
    *movie_path, predictions, table = outputs
    done = []
    try:
        if video.fault:
            raise PhotoError(video.fault)
        with photo_file(video.path) as local:
            reader = VideoReader(local)
            with _movie(movie_path[0], reader) if movie_path else nullcontext() as movie:
                frames = _masked_frames(video, reader, predict, objects, writer, journal)
                for frame in tqdm(frames, f"masking {video.file_name}", reader.frames, unit="frame", disable=None):
                    done.append(_as_photo(video, frame))
                    if movie:
                        movie.add(frame)
    except PhotoError as error:
        for path in outputs:
            path.unlink(missing_ok=True)
        return {"reason": str(error)}
    write_coco(predictions, journal, done, writer.class_names)
    write_summary_csv(table, journal.records(done), writer.class_names)
    return {"video": {"frames": len(done)}}


@contextmanager
def _movie(path: Path, reader: VideoReader) -> Iterator[VideoWriter]:
    with replacing(path) as temporary, VideoWriter(temporary, reader.rate, reader.time_base) as movie:
        yield movie


def _masked_frames(
    video: InputPhoto,
    reader: VideoReader,
    predict: Callable[[Sequence[np.ndarray]], list[Instances]],
    objects: Callable[[Instances], Iterable[FoundObject]],
    writer: PictureWriter,
    journal: Journal,
) -> Iterator[Frame]:
    """The frames, drawn on; those that the journal does not have are predicted and put there."""

    def draw(frame: Frame, image: np.ndarray, instances: Instances) -> dict[str, Any]:
        height, width = image.shape[:2]
        file_name = _as_photo(video, frame).file_name
        about = {"file_name": file_name, "width": width, "height": height}
        about |= {"frame_index": frame.index, "time": round(float(frame.time), 6)}
        return {"image": about, "annotations": writer.draw_frame(image, objects(instances))}

    frames = iter(reader)
    left = frames
    for frame in frames:
        photo = _as_photo(video, frame)
        if not journal.has(photo, ()):
            left = itertools.chain([frame], frames)
            break
        record = next(iter(journal.records([photo])))
        writer.draw_frame(frame.image, map(_found, record["annotations"]))
        yield frame
    pipeline = Pipeline(
        lambda frame: frame.image,
        predict,
        draw,
        cost=lambda frame: frame.image.shape[0] * frame.image.shape[1],
        batch=getattr(predict, "batch", 1),
    )
    for frame, record in pipeline.run(left):
        journal.add(_as_photo(video, frame), record)
        yield frame


def _as_photo(video: InputPhoto, frame: Frame) -> InputPhoto:
    """A frame by the name that it would have if the video were a folder of photos."""
    return InputPhoto(video.path, f"{video.file_name}/{frame.index:06d}", video.name, stamp=video.stamp)


def _found(annotation: dict[str, Any]) -> FoundObject:
    """An object by the record of it."""
    region = Region.from_rle(annotation["segmentation"])
    return FoundObject(annotation["category_id"] - 1, annotation["score"], region)
