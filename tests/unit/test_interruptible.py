"""Processes that tests start can be interrupted, even where the suite itself was started in the background."""

import subprocess
import sys

PRINT_HANDLER = "import signal; print(signal.getsignal(signal.SIGINT).__name__)"


def test_a_child_of_a_test_handles_ctrl_c() -> None:
    child = subprocess.run([sys.executable, "-c", PRINT_HANDLER], capture_output=True, text=True, check=True)
    assert child.stdout == "default_int_handler\n"
