from types import SimpleNamespace

from campus_seg.config import load_config
from campus_seg.engine.sending import SendRun
from campus_seg.storage_folder import mirrored


def test_a_run_is_sent_after_each_checkpoint_and_evaluation_and_outlives_its_server(bucket, caplog):
    cfg = load_config("mask_rcnn_mini_FPN.yaml", ["SOLVER.CHECKPOINT_PERIOD", "4", "TEST.EVAL_PERIOD", "6"])
    with mirrored("s3://b/run") as mirror:
        cfg.OUTPUT_DIR = str(mirror.folder)
        hook = SendRun(mirror.uri, cfg)
        sent = []
        for iteration in range(12):
            hook.trainer = SimpleNamespace(iter=iteration)
            (mirror.folder / "metrics.json").write_text(f"{iteration}")
            if iteration == 7:
                bucket.faults = [PermissionError("AccessDenied")]
            hook.after_step()
            if bucket.objects.get("b/run/metrics.json") == f"{iteration}".encode():
                sent.append(iteration)
    assert sent == [3, 5, 11]
    assert "access is refused" in caplog.text and "the run goes on" in caplog.text
