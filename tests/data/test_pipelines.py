"""Pipelines as files: those shipped, those of a user, and those that are refused."""

import albumentations as A
import numpy as np
import pytest
import yaml
from outlines import GREY, blob_at, outline, star

from campus_seg.data.augmentations import Augmentation
from campus_seg.errors import ConfigError


def test_the_shipped_pipelines_are_those_of_2023_and_the_same_without_the_vertical_flip():
    def one_of():
        names = A.ImageCompression(p=0.8), A.RandomGamma(p=0.8), A.Blur(p=0.8), A.Equalize(mode="cv", p=0.8)
        return A.OneOf(list(names))

    colour = A.RandomBrightnessContrast(contrast_limit=0.2, brightness_limit=0.3, p=0.5)
    flips = [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]
    for name, kept in (("original_2023.yaml", flips), ("campus.yaml", flips[:1])):
        wanted = A.Compose([*kept, colour, one_of(), one_of()])
        ours = Augmentation.from_file(name)
        assert not ours.needs_masks
        image = blob_at(100, 80)
        assert [t.to_dict() for t in ours._compose.transforms] == [t.to_dict() for t in wanted.transforms]
        assert ours(image, outline(), (0,))[0].shape == image.shape


def write(tmp_path, transform):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"transform": transform}))
    return str(path)


def step(name, **arguments):
    return {"__class_fullname__": name, "p": 1.0, **arguments}


def test_what_to_dict_writes_is_read(tmp_path):
    pipeline = A.Compose([A.OneOf([A.Rotate((5, 9), p=1), A.RandomScale(p=1)], p=1), A.SomeOf([A.D4(p=1)], n=1)], p=0.8)
    path = tmp_path / "mine.yaml"
    A.save(pipeline, path, data_format="yaml")
    for seed in range(10):
        read, made = (
            a(blob_at(99, 80), outline(star((100, 100), 50)), (seed,))
            for a in (Augmentation.from_file(str(path)), Augmentation(pipeline))
        )
        np.testing.assert_array_equal(read[0], made[0])
        np.testing.assert_array_equal(read[1].points, made[1].points)


@pytest.mark.parametrize(
    ("transform", "word"),
    [
        (step("Normalize"), "PIXEL_MEAN"),
        (step("Compose", transforms=[step("OneOf", transforms=[step("Normalize")])]), "PIXEL_MEAN"),
        (step("albumentations.pytorch.transforms.ToTensorV2"), "makes the tensor"),
        (step("ToFloat"), "uint8"),
        (step("HorizontalFlop"), "HorizontalFlop is no transform"),
        (step("os.system"), "os.system is no transform"),
        (step("Lambda"), "Lambda is no transform"),
        (step("KeypointParams"), "KeypointParams is no transform"),
        (step(["HorizontalFlip"]), "is no transform"),
        ({"transforms": []}, "is no transform"),
        ({"__class_fullname__": "HorizontalFlip"}, "has no p"),
        (step("HorizontalFlip", probability=1), "probability"),
        (step("Rotate", limt=3), "limt"),
        (step("Rotate", limit="much"), "limit"),
        (step("Compose", transforms=[], bbox_params={"format": "coco"}), "bbox_params has no place"),
        (step("Compose", transforms=[], keypoint_params={"format": "xy"}), "keypoint_params has no place"),
        (step("OneOf", transforms=[], steps=[]), "steps"),
        (step("MaskDropout"), "wants mask"),
        (step("Rotate", fill_mask=1), "fill_mask"),
        (step("CenterCrop3D", size=[1, 1, 1]), "not for photos"),
        (step("SelectiveChannelTransform", transforms=[step("HorizontalFlip")]), "would move some channels"),
    ],
)
def test_a_pipeline_that_cannot_be_used_is_refused_in_one_line(tmp_path, transform, word):
    name = write(tmp_path, transform)
    with pytest.raises(ConfigError) as error:
        Augmentation.from_file(name)
    assert word in str(error.value)
    assert str(error.value).startswith(f"{name}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "transform: HorizontalFlip", "- a", "transform: [", "a: !!python/object:os.x {}"])
def test_a_file_that_is_no_pipeline_is_refused(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match="mine.yaml: (no pipeline|not readable)"):
        Augmentation.from_file(str(tmp_path / "mine.yaml"))


def test_a_missing_file_names_those_that_are_shipped():
    with pytest.raises(ConfigError, match="campus.yaml, original_2023.yaml"):
        Augmentation.from_file("campuss.yaml")


@pytest.mark.parametrize(
    ("transform", "word"),
    [
        (A.RandomCrop(900, 900, p=1), "fails on a photo of 421 x 300"),
        (A.ToGray(num_output_channels=1, p=1), "RGB photo"),
    ],
)
def test_a_transform_that_fails_on_a_photo_is_named_with_its_file(transform, word):
    with pytest.raises(ConfigError, match=f"mine.yaml: .*{word}"):
        Augmentation(transform, "mine.yaml")(GREY, outline(), (0,))
