"""docs/api.md keeps its word: its examples run against the real service, and its table has every code."""

import re
import subprocess
import sys
from pathlib import Path

from PIL import Image
from support.lookalike_command import serving
from support.page_photos import PACKAGED

from api.errors import _HTTP_CODES, PROBLEMS

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_the_examples_run(lookalike, tmp_path):
    for name, packaged in (("coffee.jpg", "coffee.png"), ("cat.jpg", "chelsea.png")):
        Image.open(PACKAGED / packaged).convert("RGB").save(tmp_path / name)
    key = lookalike("keys", "create", "docs", "--scope", "write").out.strip()
    with serving(lookalike, "run", tmp_path) as (client, _):
        address = str(client.base_url).rstrip("/")
        settings = lookalike.environment(LOOKALIKE=address, KEY=key)
        said = [shell(line, tmp_path, settings) for block in examples("sh") for line in block.splitlines()]
        python = f"ADDRESS, KEY = {address!r}, {key!r}\n" + "\n".join(examples("python"))
        printed = subprocess.run(
            [sys.executable, "-W", "error", "-c", python], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout
    text = "\n".join(said)
    assert len(said) >= 18 and "idempotency-replayed: true" in text.lower()
    assert '"code":"not_found"' in text and '"id":"cup"' in text and "tabby" in text
    assert printed.endswith("not_found id\n") and printed.startswith("1.00 ")


def test_every_code_is_in_the_table():
    rows = re.findall(r"^\| (\d{3}) \| (.*) \|$", TEXT, re.MULTILINE)
    documented = {(int(status), code) for status, codes in rows for code in re.findall(r"`([a-z_]+)`", codes)}
    ours = {(kind.status, error.code) for error, kind in PROBLEMS.items() if kind.status != 500}
    ours |= {(status, code) for status, code in _HTTP_CODES.items() if status == 405}
    assert documented == ours


def shell(line: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, (line, done.stderr, done.stdout)
    return done.stdout.decode(errors="replace")
