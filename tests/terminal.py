"""A terminal for a command that behaves differently on one."""

import fcntl
import os
import pty
import struct
import subprocess
import termios


def on_a_terminal(command, **options):
    """The exit status of a command, and what it shows on a terminal of 120 columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(command, stdout=its, stderr=its, **options)
    os.close(its)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    return process.wait(), shown.decode()
