"""What the charts of an evaluation say."""

from campus_seg.evaluation.charts import confusion_chart


def test_a_class_may_be_called_missed():
    names = ["missed", "car"]
    matrix = [[5, 2, 1], [3, 5, 4], [0, 0, 0]]
    confusion = {"rows": [*names, "background"], "columns": [*names, "missed"], "matrix": matrix}
    said = "Most often: car 4 times missed, car 3 times found as missed, missed 2 times found as car."
    assert confusion_chart({"confusion": confusion}).alt == f"Confusion matrix at IoU 0.5. {said}"
