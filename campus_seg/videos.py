"""The one reader and writer of videos, by FFmpeg's libraries; without torch and Detectron2."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from campus_seg.photos import PhotoError, photo_file

HD = 720  # rows: from here on, colours of a video that does not say are taken for BT.709's, below for BT.601's
BT709, UNSPECIFIED = 1, 2  # ISO/IEC 23091-2
WIDEST = 4  # a pixel, by its height; no camera's is, and a damaged file's may be anything
# What FFmpeg may read here, by its own names: others of its formats are lists of files and addresses to open instead.
FORMATS = "mov,avi,matroska,mpegts,mpeg,asf,flv,ogg,dv"
# Of the frames that a file says it has: with fewer it was cut short. Some cameras miscount the last ones.
WHOLE = 0.99
# Without these FFmpeg's conversion makes every pixel darker, by two levels each way.
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
# x264 writes the same bytes for the same number of threads only, and for any processor where it is asked to: its code
# for AVX-512 chooses other bits now and then. With frames stored in the order shown (no B-frames) the file is as long
# as they say.
ENCODING = {"preset": "veryfast", "crf": "20", "threads": "1", "bf": "0", "x264-params": "cpu-independent=1"}


@dataclass(frozen=True)
class Frame:
    """A frame of a video.

    Attributes:
        index: from 0.
        time: seconds from the first frame on.
        image: (H, W, 3) uint8, BGR, upright.
    """

    index: int
    time: Fraction
    image: np.ndarray


class VideoReader:
    """The frames of a video file, as they are meant to be looked at; of several videos in a file the main one.

    Args:
        path: a file that FFmpeg can read.

    Raises:
        PhotoError: missing, empty, damaged, cut short or without a picture.

    Attributes:
        frames: how many there are.
        rate: frames a second, on average.
        time_base: of the file's own clock: seconds a tick.
    """

    def __init__(self, path: Path):
        self._path = path
        try:
            with _opened(path) as container:
                stream = _video_stream(container)
                self.rate: Fraction = stream.average_rate or stream.guessed_rate
                self.time_base: Fraction = stream.time_base
                shown, stored = [], 0  # when each is decoded, in ticks, without those that an edit list leaves out
                for packet in container.demux(stream):
                    if packet.size:
                        stored += 1
                        shown += [] if packet.is_discard else [packet.dts]
                declared = stream.frames
                # An AVI does not tell when a frame is shown: one after the other, at the times of decoding.
                self._ticks = sorted(shown) if container.format.name == "avi" else None
        except (OSError, av.FFmpegError) as error:
            raise PhotoError(_reason(error)) from None
        self.frames = len(shown)
        if not shown or not self.rate:
            raise PhotoError("no frame in it")
        if stored < WHOLE * declared:
            raise PhotoError(f"cut short: {stored} of {declared} frames are there")

    def __iter__(self) -> Iterator[Frame]:
        """Decodes the frames, one after the other.

        Raises:
            PhotoError: one cannot be decoded, or has another size than the first.
        """
        index, first, last = 0, 0, -1
        size = None
        try:
            with _opened(self._path) as container:
                stream = _video_stream(container)
                stream.thread_type = "AUTO"
                for decoded in container.decode(stream):
                    ticks = self._tick(decoded, index)
                    if not index:
                        first = ticks
                    last = max(last + 1, ticks - first)
                    image = _upright(decoded, stream.sample_aspect_ratio or 1)
                    size = size or image.shape
                    if image.shape != size:
                        raise PhotoError(f"frame {index} has another size than those before; cut the video there")
                    yield Frame(index, last * self.time_base, image)
                    index += 1
        except (OSError, av.FFmpegError) as error:
            raise PhotoError(f"frame {index}: {_reason(error)}") from None
        if index < WHOLE * self.frames:
            raise PhotoError(f"damaged: {index} of {self.frames} frames can be decoded")

    def _tick(self, decoded: av.VideoFrame, index: int) -> int:
        """When a frame is shown, by the file's clock."""
        if self._ticks:
            return self._ticks[min(index, len(self._ticks) - 1)]
        return decoded.pts if decoded.pts is not None else -1


class VideoWriter:
    """Writes an MP4 with H.264, which every browser and phone plays. Without sound.

    Args:
        path: of the file.
        rate: frames a second, on average.
        time_base: seconds a tick of the clock that frames are timed by.
    """

    def __init__(self, path: Path, rate: Fraction, time_base: Fraction):
        self._container = av.open(_address(path), "w", format="mp4")
        self._rate, self._time_base = rate, time_base
        self._stream: av.VideoStream | None = None

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        if error is None and self._stream:
            self._container.mux(self._stream.encode())
        self._container.close()

    def add(self, frame: Frame) -> None:
        """Writes a frame; an odd side gets one more row or column of pixels, since H.264's colours come in pairs."""
        height, width = frame.image.shape[:2]
        image = frame.image
        if height % 2 or width % 2:
            image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if not self._stream:
            self._stream = self._begun(image.shape)
        encoded = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=EXACT,
        )
        encoded.pts, encoded.time_base = round(frame.time / self._time_base), self._time_base
        self._container.mux(self._stream.encode(encoded))

    def _begun(self, shape: tuple[int, ...]) -> av.VideoStream:
        stream = self._container.add_stream("libx264", rate=self._rate, options=ENCODING)
        stream.height, stream.width = shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = self._time_base
        context = stream.codec_context
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries = context.color_trc = BT709
        return stream


def frame_pixels(path: Path | str) -> int:
    """Pixels of a video's frames by its head; 0 where that cannot be read."""
    try:
        with photo_file(path) as local, _opened(local) as container:
            stream = _video_stream(container)
            return stream.width * stream.height
    except (OSError, av.FFmpegError, PhotoError):
        return 0


def _opened(path: Path) -> av.container.InputContainer:
    if path.stat().st_size == 0:  # also a pipe, whose first byte may never come
        raise PhotoError("the file is empty")
    allowed = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    # A title in no known encoding is no reason to fail.
    return av.open(_address(path), metadata_errors="replace", container_options=allowed)


def _address(path: Path) -> str:
    """The path as FFmpeg takes it for a file; that of 12:30.mp4 would be an address of a protocol called 12."""
    return f"file:{os.fspath(path)}"


def _video_stream(container: av.container.InputContainer) -> av.VideoStream:
    stream = container.streams.best("video")
    if stream is None or stream.disposition & av.stream.Disposition.attached_pic:  # the cover of a song
        raise PhotoError("no picture in it, only sound or other data")
    return stream


def _upright(frame: av.VideoFrame, aspect: Fraction | int) -> np.ndarray:
    """A frame's pixels, (H, W, 3) uint8 BGR, turned and mirrored as its display matrix says.

    Args:
        frame: as it was decoded.
        aspect: width of a stored pixel, by its height; the pixels returned are square.
    """
    colorspace = frame.colorspace
    if colorspace == UNSPECIFIED:
        colorspace = Colorspace.ITU709 if frame.height >= HD else Colorspace.ITU601
    image = frame.to_ndarray(format="bgr24", src_colorspace=colorspace, interpolation=EXACT)
    if aspect != 1 and 1 / WIDEST < aspect < WIDEST:
        image = cv2.resize(image, (round(frame.width * aspect), frame.height), interpolation=cv2.INTER_LINEAR)
    matrix = frame.side_data.get(SideData.DISPLAYMATRIX)
    if matrix is None:
        return image
    # A stored point (x, y) is shown at (a x + c y, b x + d y).
    a, b, _, c, d = np.frombuffer(matrix, dtype=np.int32)[:5].tolist()
    if abs(c) > abs(a):
        image, a, d = image.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _reason(error: OSError | av.FFmpegError) -> str:
    if isinstance(error, av.InvalidDataError | av.ArgumentError):  # the latter of a format that is none of FORMATS
        return "no video that can be read, or a damaged one"
    return error.strerror or str(error)
