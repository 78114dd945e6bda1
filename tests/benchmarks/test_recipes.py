import pytest
from detectron2.engine import DefaultTrainer

from campus_seg.benchmarks.curves import Point
from campus_seg.benchmarks.recipes import compare, stock_config
from campus_seg.config import load_config
from campus_seg.modeling.mini_backbone import register_mini_backbone


def test_the_recipes_are_compared_seed_by_seed():
    start = Point(0, 0.0, 0.0)
    curves = {
        "ours": [[start, Point(10, 10, 20.0), Point(20, 20, 30.0)], [start, Point(10, 20, 10.0), Point(20, 40, 50.0)]],
        "stock": [[start, Point(10, 20, 18.0), Point(20, 40, 31.0)], [start, Point(10, 10, 12.0), Point(20, 20, 46.0)]],
    }
    # After 20 s, seed 0: 30 - 18; seed 1: 10 - 46.
    assert compare(curves) == {
        "recipes_ap_gain": pytest.approx((30 - 31 + 50 - 46) / 2),
        "recipes_ap_gain_same_time": pytest.approx((12 - 36) / 2),
    }


def test_stock_is_stock():
    register_mini_backbone()
    cfg = load_config("mask_rcnn_mini_FPN.yaml", ["MODEL.ROI_HEADS.NUM_CLASSES", 3, "MODEL.DEVICE", "cpu"])
    before = cfg.clone()
    stock = stock_config(cfg, 0.02)
    assert cfg == before
    assert stock.SOLVER.BASE_LR == 0.02
    optimizer = DefaultTrainer.build_optimizer(stock, DefaultTrainer.build_model(stock))
    assert type(optimizer).__name__ == "SGD" and optimizer.param_groups[0]["weight_decay"] == 0.0001
    assert stock.INPUT.MIN_SIZE_TRAIN == (256,) and stock.INPUT.MAX_SIZE_TRAIN == 256
