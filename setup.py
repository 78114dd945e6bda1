"""Package campus_seg: the library, its tools as console scripts and its configs as data.

`tools/` and `configs/` lie at the top so that a clone reads like any Detectron2 project; in a wheel they
become `campus_seg.tools` and `campus_seg.configs`.

Detectron2 has no release on PyPI and cannot be a requirement here; `campus_seg/environment.py` knows how to
install it. What it needs itself is listed below, so that `pip check` has the last word.
"""

from pathlib import Path

from setuptools import find_packages, setup

DETECTRON2_NEEDS = [
    "black",
    "cloudpickle",
    "fvcore",
    "hydra-core>=1.1",
    "iopath>=0.1.9",
    "matplotlib",
    "numpy>=1.26,<2",
    "omegaconf>=2.1,<2.4",
    "packaging",
    "Pillow>=12",
    "setuptools<81",  # pkg_resources, which Detectron2's model zoo imports
    "tabulate",
    "tensorboard",
    "termcolor>=1.1",
    "tqdm>4.29",
    "yacs>=0.1.8",
]

setup(
    name="campus_seg",
    version="0.1.0",
    description="From photos labelled in Label Studio to a fine-tuned Mask R-CNN and masked photos",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[*find_packages(include=["campus_seg", "campus_seg.*"]), "campus_seg.tools", "campus_seg.configs"],
    package_dir={"campus_seg.tools": "tools", "campus_seg.configs": "configs"},
    package_data={
        "campus_seg.configs": ["*.yaml", "augmentations/*.yaml"],
        "campus_seg.evaluation": ["report_page/*"],
        "campus_seg.inference": ["gallery_page/*"],
        "campus_seg.web": ["page_files/*"],
    },
    install_requires=[
        *DETECTRON2_NEEDS,
        "albumentations==2.0.8",  # the last MIT release
        "av>=18",  # FFmpeg, for videos
        "filelock>=3.12",
        "fsspec>=2024.6",
        "hotcoco>=1.3,<2",
        "ImageHash>=4.3.1,<5",
        "Jinja2>=3.1",
        "opencv-python-headless>=4.9,<4.12",  # newer ones want numpy 2
        "msgspec>=0.19",
        "pillow-heif>=0.18",
        "pycocotools>=2.0.8",
        "PyYAML>=6",
        "requests>=2.32",
        "scipy>=1.11",
        "shapely>=2",
        "torch>=2.4",
        "torchvision>=0.19",
        "urllib3>=2.6.3",  # the first whose Retry knows retry_after_max
    ],
    extras_require={
        "az": ["adlfs>=2024.4"],  # photos behind az:// and abfs://
        "dev": [
            "hypothesis>=6",
            "moto[server]>=5",
            "playwright>=1.49",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.8",
            "wheel",
        ],
        "gs": ["gcsfs>=2024.6"],  # behind gs://
        "http": ["fsspec[http]"],  # behind http:// and https://
        "openvino": ["openvino>=2025"],  # predicts faster on a CPU
        "s3": ["s3fs>=2024.6"],  # behind s3://, of Amazon's or of any server that speaks its language
        "serve": ["waitress>=3"],  # the model as an ML backend of Label Studio
        "sftp": ["sshfs>=2024.4"],  # behind sftp://
        "web": ["gradio>=6,<7"],  # a page to try the model
    },
    entry_points={
        "console_scripts": [
            "campus-label-studio = campus_seg.tools.label_studio:main",
            "campus-photos = campus_seg.tools.photos:main",
            "campus-report = campus_seg.tools.report:main",
            "campus-train = campus_seg.tools.train_net:main",
            "campus-visualize = campus_seg.tools.visualize:main",
            "campus-visualize-data = campus_seg.tools.visualize_data:main",
            "campus-web-demo = campus_seg.tools.web_demo:main",
        ]
    },
)
