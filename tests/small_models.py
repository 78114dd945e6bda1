"""Folders of runs that never ran: a small model with random weights, as training leaves one."""

from pathlib import Path

import torch
from detectron2.modeling import build_model
from drawn import SMALL_MODEL

from campus_seg.config import load_config
from campus_seg.modeling.mini_backbone import register_mini_backbone


def write_run(folder: Path) -> None:
    """Writes config.yaml and model_final.pth of a model for benches and cars."""
    cfg = load_config("mask_rcnn_mini_FPN.yaml", SMALL_MODEL)
    cfg.CAMPUS.CLASSES = ["bench", "car"]
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 2
    cfg.MODEL.DEVICE = "cuda"  # trained elsewhere
    (folder / "config.yaml").write_text(cfg.dump())
    cfg.MODEL.DEVICE = "cpu"
    register_mini_backbone()
    torch.manual_seed(0)
    model = build_model(cfg)
    for layer in (model.roi_heads.box_predictor.cls_score, model.roi_heads.mask_head.predictor):
        torch.nn.init.normal_(layer.weight, std=1.0)  # scores that differ, masks with edges
    torch.save({"model": model.state_dict()}, folder / "model_final.pth")
