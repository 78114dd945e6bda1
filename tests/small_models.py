"""Small models for tests: what makes two of them comparable, and folders of runs that never ran."""

from pathlib import Path

import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from drawn import SMALL_MODEL

from campus_seg.config import load_config
from campus_seg.modeling.mini_backbone import register_mini_backbone

# Models in another memory layout round otherwise, by 1e-7 to 1e-5. Scores that are all but equal would make of that
# another choice of proposals, and another loss; where all of them are taken there is no choice.
EVERY_PROPOSAL = [
    *("MODEL.RPN.PRE_NMS_TOPK_TRAIN", "10000", "MODEL.RPN.POST_NMS_TOPK_TRAIN", "10000", "MODEL.RPN.NMS_THRESH", "1.0"),
    *("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", "10000", "MODEL.ROI_HEADS.POSITIVE_FRACTION", "1.0"),
]


def write_run(folder: Path) -> None:
    """Writes config.yaml and model_final.pth, as a training leaves them, of a random model for benches and cars."""
    cfg = load_config("mask_rcnn_mini_FPN.yaml", SMALL_MODEL)
    cfg.CAMPUS.CLASSES = ["bench", "car"]
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 2
    cfg.MODEL.DEVICE = "cuda"  # trained elsewhere
    (folder / "config.yaml").write_text(cfg.dump())
    cfg.MODEL.DEVICE = "cpu"
    write_weights(cfg, folder)


def write_weights(cfg: CfgNode, folder: Path) -> None:
    """Writes model_final.pth of a random model of a config."""
    register_mini_backbone()
    torch.manual_seed(0)
    model = build_model(cfg)
    for layer in (model.roi_heads.box_predictor.cls_score, model.roi_heads.mask_head.predictor):
        torch.nn.init.normal_(layer.weight, std=1.0)  # scores that differ, masks with edges
    torch.save({"model": model.state_dict()}, folder / "model_final.pth")
