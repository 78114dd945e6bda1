"""Videos written and read here and by FFmpeg's own calls; what each frame shows is drawn, and known."""

import io
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_seg.photos import PhotoError
from campus_seg.videos import Frame, VideoReader, VideoWriter

FRAMES = 24
# What a display matrix of (a, b, c, d) makes of a picture: x' = a x + c y, y' = b x + d y.
ORIENTATIONS = {
    (1, 0, 0, 1): lambda image: image,
    (-1, 0, 0, 1): lambda image: image[:, ::-1],
    (-1, 0, 0, -1): lambda image: image[::-1, ::-1],
    (1, 0, 0, -1): lambda image: image[::-1],
    (0, 1, 1, 0): lambda image: np.swapaxes(image, 0, 1),
    (0, 1, -1, 0): lambda image: np.rot90(image, -1),
    (0, -1, 1, 0): np.rot90,
    (0, -1, -1, 0): lambda image: np.swapaxes(image[::-1, ::-1], 0, 1),
}


def grey(index, size=(48, 64)):
    """The picture of a frame: a grey of its own, with a green corner."""
    image = np.full((*size, 3), 40 + 8 * index, dtype=np.uint8)
    image[: size[0] // 3, : size[1] // 3] = (0, 200, 0)
    return image


def write(path, images, codec="libx264", rate=25, first=0, container_options=None, **attributes):
    """A video by FFmpeg's own calls, at a steady rate."""
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 2_000_000
        matrix = attributes.pop("matrix", None)
        if matrix:
            a, b, c, d = (value * 65536 for value in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        for name, value in attributes.items():
            setattr(stream.codec_context, name, value)
        for i, image in enumerate(images, start=first):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
            frame.pts, frame.time_base = i, 1 / Fraction(rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def frames_of(path):
    return list(VideoReader(path))


def length_of(path):
    """Seconds, as FFmpeg reads them from the file's head."""
    with av.open(str(path)) as container:
        return container.duration / 1_000_000


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.mp4", "libx264", Fraction(30000, 1001)),
        ("a.mp4", "libx265", 60),
        ("a.mov", "libx264", 25),
        ("a.mov", "mjpeg", 10),
        ("a.avi", "mjpeg", 15),
        ("a.avi", "mpeg4", 24),
        ("a.avi", "libx264", 24),  # whose frames are stored in another order than shown
    ],
)
def test_frames_come_in_order_and_on_time(tmp_path, name, codec, rate):
    write(tmp_path / name, [grey(i) for i in range(FRAMES)], codec, rate)
    reader = VideoReader(tmp_path / name)
    assert (reader.frames, reader.rate) == (FRAMES, rate)
    frames = list(reader)
    assert [frame.index for frame in frames] == list(range(FRAMES))
    ticks = [round(i / Fraction(rate) / reader.time_base) for i in range(FRAMES)]
    assert [frame.time / reader.time_base for frame in frames] == ticks
    for i, frame in enumerate(frames):
        assert frame.image.shape == (48, 64, 3)
        assert abs(frame.image[30:, 40:].mean() - (40 + 8 * i)) < 4  # half the way to the next one
        assert frame.image[4, 4, 1] - int(frame.image[4, 4, 2]) > 150


@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_frames_are_upright(tmp_path, matrix):
    write(tmp_path / "a.mov", [grey(i) for i in range(2)], matrix=matrix)
    image = frames_of(tmp_path / "a.mov")[1].image
    expected = ORIENTATIONS[matrix](grey(1))
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 4


@pytest.mark.parametrize(("height", "tag", "red"), [(96, 2, 0.299), (736, 2, 0.2126), (96, 1, 0.2126), (736, 6, 0.299)])
def test_colours_are_those_of_the_standard(tmp_path, height, tag, red):
    # Y = 16 + 219 E', of pure red E' is the share of red in the luma of BT.601 or BT.709; Cr is at its end, 240
    planes = av.VideoFrame(128, height, "yuv420p")
    blue = {0.299: 0.114, 0.2126: 0.0722}[red]
    values = (16 + 219 * red, 128 - 112 * red / (1 - blue), 240)
    for plane, value in zip(planes.planes, values, strict=True):
        plane.update(bytes([round(value)]) * plane.buffer_size)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = height, 128, "yuv420p"
        stream.codec_context.colorspace = tag
        planes.pts = 0
        container.mux(stream.encode(planes))
        container.mux(stream.encode())
    blue, green, red = frames_of(tmp_path / "a.mp4")[0].image.mean((0, 1))
    assert red > 251 and green < 4 and blue < 4


def test_pixels_that_are_not_square_become_square(tmp_path):
    write(tmp_path / "a.mp4", [grey(0)], sample_aspect_ratio=Fraction(3, 2))
    image = frames_of(tmp_path / "a.mp4")[0].image
    assert image.shape == (48, 96, 3)
    assert image[8, 26, 1] > 150 + image[8, 40, 2]


def test_frames_that_an_edit_leaves_out_are_left_out(tmp_path):
    write(tmp_path / "a.mp4", [grey(i) for i in range(FRAMES)], first=-5)
    reader = VideoReader(tmp_path / "a.mp4")
    frames = list(reader)
    assert reader.frames == len(frames) == FRAMES - 5
    assert frames[0].time == 0
    assert abs(frames[0].image[30:, 40:].mean() - (40 + 8 * 5)) < 3


def write_ours(path, images, times, rate, time_base):
    with VideoWriter(path, rate, time_base) as movie:
        for i, (image, time) in enumerate(zip(images, times, strict=True)):
            movie.add(Frame(i, time, image))


def test_what_is_written_is_what_is_read(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture = cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC)
    write_ours(tmp_path / "a.mp4", [picture] * 5, [Fraction(i, 25) for i in range(5)], Fraction(25), Fraction(1, 25))
    difference = frames_of(tmp_path / "a.mp4")[2].image.astype(float) - picture
    assert np.abs(difference).mean() < 2
    assert np.abs(difference.mean((0, 1))).max() < 0.5  # neither darker nor brighter


@settings(max_examples=20)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.sampled_from([(5, Fraction(1, 600)), (901, Fraction(1, 90000)), (1, Fraction(1001, 30000))]),
)
def test_times_and_length_survive_also_at_a_changing_rate(tmp_path_factory, steps, clock):
    step, time_base = clock
    steps = [count * step for count in steps]
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    ticks = np.cumsum([0, *steps])[:-1].tolist()
    rate = 1 / (Fraction(sum(steps), len(steps)) * time_base)
    write_ours(path, [grey(0, (16, 16))] * len(ticks), [tick * time_base for tick in ticks], rate, time_base)
    reader = VideoReader(path)
    assert [float(frame.time) for frame in reader] == pytest.approx([float(t * time_base) for t in ticks], abs=2e-5)
    # How long the last frame stays no frame tells: as long as the others do on average.
    assert length_of(path) == pytest.approx(float(ticks[-1] * time_base + 1 / rate), abs=2e-3)


def test_an_odd_side_gets_one_more_row_of_pixels(tmp_path):
    write_ours(tmp_path / "a.mp4", [grey(0, (47, 63))], [Fraction(0)], Fraction(25), Fraction(1, 25))
    image = frames_of(tmp_path / "a.mp4")[0].image
    assert image.shape == (48, 64, 3)
    assert np.abs(image[:47, :63].astype(int) - grey(0, (47, 63))).mean() < 4
    assert np.abs(image[47, 30:].astype(int) - 40).max() < 4


def test_the_same_frames_are_the_same_bytes(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        images = [grey(i) for i in range(FRAMES)]
        write_ours(tmp_path / name, images, [Fraction(i, 25) for i in range(FRAMES)], Fraction(25), Fraction(1, 25))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_what_cannot_be_read_says_why(tmp_path):
    images = [
        cv2.resize(np.random.default_rng(i).integers(0, 256, (24, 32, 3), np.uint8), (128, 96)) for i in range(40)
    ]
    write(tmp_path / "whole.mp4", images)
    write(tmp_path / "fast.mp4", images, container_options={"movflags": "faststart"})
    write(tmp_path / "whole.avi", images, "mjpeg")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.rate = 8000
        container.mux([*stream.encode(sound), *stream.encode()])
    for name in ("whole.mp4", "fast.mp4", "whole.avi"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / f"cut_{name}").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "folder.mp4").mkdir()
    reasons = {}
    for name in ("cut_whole.mp4", "cut_fast.mp4", "cut_whole.avi", "sound.mp4", "empty.mp4", "text.mp4", "none.mp4"):
        with pytest.raises(PhotoError) as caught:
            frames_of(tmp_path / name)
        reasons[name] = str(caught.value)
    assert reasons["empty.mp4"] == "the file is empty"
    assert reasons["none.mp4"] == "No such file or directory"
    assert reasons["sound.mp4"] == "no picture in it, only sound or other data"
    assert reasons["text.mp4"] == reasons["cut_whole.mp4"] == "no video that can be read, or a damaged one"
    for name in ("cut_fast.mp4", "cut_whole.avi"):
        assert reasons[name].startswith("cut short: ") and reasons[name].endswith(" of 40 frames are there")
    with pytest.raises(PhotoError):
        frames_of(tmp_path / "folder.mp4")


@pytest.mark.parametrize("name", ["12:30.mp4", "concat:a.mp4", "%03d.mp4", "-a.mp4", "a\nb #?'\"|.mp4"])
def test_any_name_is_that_of_a_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_ours(Path(name), [grey(0)], [Fraction(0)], Fraction(25), Fraction(1, 25))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(frames_of(Path(name))) == 1


@pytest.mark.parametrize(
    "content",
    [
        "ffconcat version 1.0\nfile other.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_list_of_other_files_is_no_video(tmp_path, content):
    write(tmp_path / "other.mp4", [grey(0)])
    (tmp_path / "a.mp4").write_text(content)
    with pytest.raises(PhotoError, match="^no video that can be read, or a damaged one$"):
        frames_of(tmp_path / "a.mp4")


def test_the_cover_of_a_song_is_no_video(tmp_path):
    _, cover = cv2.imencode(".jpg", grey(0))
    with av.open(str(tmp_path / "a.mp4"), "w") as container, av.open(io.BytesIO(cover)) as picture:
        sound = container.add_stream("aac", rate=8000)
        stream = container.add_stream_from_template(picture.streams.video[0])
        stream.disposition = av.stream.Disposition.attached_pic
        for packet in picture.demux():
            if packet.size:
                packet.stream = stream
                container.mux(packet)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.rate = 8000
        container.mux([*sound.encode(silence), *sound.encode()])
    with pytest.raises(PhotoError, match="^no picture in it"):
        frames_of(tmp_path / "a.mp4")


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_damage_at_random_ends_in_a_word_or_in_frames(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("damaged")
    write(folder / "a.mp4", [grey(i) for i in range(6)])
    content = np.frombuffer((folder / "a.mp4").read_bytes(), np.uint8).copy()
    random = np.random.default_rng(seed)
    content[random.integers(0, content.size, 8)] = random.integers(0, 256, 8)
    (folder / "a.mp4").write_bytes(content.tobytes())
    try:
        shapes = {frame.image.shape for frame in VideoReader(folder / "a.mp4")}
    except PhotoError as error:
        assert str(error)
    else:
        assert len(shapes) == 1
