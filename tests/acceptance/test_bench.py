"""`lookalike bench`: problems of a chart are reported before anything is measured."""

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from importlib.machinery import PathFinder
class WithoutMatplotlib(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] == "matplotlib" else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutMatplotlib
import lookalike
sys.exit(lookalike.main(sys.argv[1:]))
"""


def test_a_chart_without_matplotlib_says_how_to_install_it(tmp_path, lookalike):
    chart = tmp_path / "chart.png"
    done = subprocess.run(
        [sys.executable, "-c", CODE, "bench", "--plot", chart],
        env=lookalike.environment(),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'lookalike[plot]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not chart.exists()


def test_a_chart_of_another_format_is_refused_at_once(tmp_path, lookalike):
    done = lookalike("bench", "--plot", tmp_path / "chart.svg")
    assert (done.status, done.out) == (2, "")
    assert "ends in .png, not chart.svg" in done.err
