"""What goes without other processes; those that are started are in processes/."""

from campus_seg.launching import launch, orders


def test_a_single_process_is_this_one():
    called = []
    launch(lambda *args: called.append((args, orders())), ("a", 1))
    assert called == [(("a", 1), None)]
