"""A long list is compared with a collection in memory that does not grow with it."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

LINES = 100_000
MAX_GROWTH = 60  # MB: a block, what is listed ahead and the hashes of the ids; for Parquet, pyarrow too

PLAN = """
import sys
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

from support.toy import TOY

from store.testing import MemoryStore
from indexer.pipeline.difference import difference
from indexer.pipeline.lister import PrefetchIterator
from indexer.sources.manifest import Manifest

collection = MemoryStore().create("photos", TOY)
source = Manifest(Path(sys.argv[1]))
rest = getrusage(RUSAGE_SELF).ru_maxrss
new = wrong = 0
with PrefetchIterator(source.references()) as listed:
    for block in difference(source.name, listed, collection):
        new += len(block.new)
        wrong += len(block.unlistable)
print(new, wrong, (getrusage(RUSAGE_SELF).ru_maxrss - rest) // 1024)
"""


def write(file: Path) -> None:
    """Write a list whose last line is wrong, for its id came before."""
    entries = [
        {"uri": f"s3://bucket/photos/IMG_{i:07}.jpg", "id": f"shop:{i % (LINES - 1)}", "bytes": 5} for i in range(LINES)
    ]
    if file.suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(entries), file)
    elif file.suffix == ".jsonl":
        file.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    else:
        file.write_text("uri,id,bytes\n" + "".join(f"{e['uri']},{e['id']},{e['bytes']}\n" for e in entries))


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl", "list.parquet"])
def test_a_long_list_takes_bounded_memory(tmp_path, name, request):
    write(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", PLAN, tmp_path / name],
        env={"PYTHONPATH": str(request.config.rootpath / "tests")},
        capture_output=True,
        text=True,
        check=True,
    )
    new, wrong, growth = map(int, done.stdout.split())
    assert (new, wrong) == (LINES - 1, 1)
    assert growth < MAX_GROWTH, growth
