"""What is measured: scripts that anyone can run, with dated results in results/."""

import sys
from pathlib import Path

# servers that are started, and callers that abuse them, are those of the tests
sys.path.append(str(Path(__file__).parent.parent / "tests"))
