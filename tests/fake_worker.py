"""A stand-in for a side's process in a benchmark, whose answers are known."""


def fake_worker(answers, order, peaks):
    """A class in place of `Worker`.

    Args:
        answers: what a side says, by its name and the arguments that it is asked with.
        order: a list that gets (side, arguments) of each question.
        peaks: side -> MB.
    """

    class Fake:
        what = "a side"

        def __init__(self, module, side, work, prepare=None):
            self.side = side

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def do(self, *arguments):
            order.append((self.side, arguments))
            return answers(self.side, *arguments)

        def peak_mb(self):
            return peaks[self.side]

    return Fake
