"""The table of image formats, and the lists elsewhere that must agree with it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from support.pictures import encoded, quarters

from embeddings.imaging.formats import (
    DRAFT_IDS,
    FORMATS,
    SIGNATURE_BYTES,
    UPRIGHT_IDS,
    browser_format,
    unsupported_format,
)
from embeddings.imaging.open_image import PILLOW_IDS
from indexer.sources.folder import NOT_IMAGES

FREQUENT = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
SUFFIXES = [suffix for format in FORMATS for suffix in format.suffixes]


def test_pillow_has_a_decoder_for_every_format():
    Image.init()
    assert [id for id in PILLOW_IDS if id not in Image.OPEN] == []


def test_formats_that_run_programs_or_are_no_images_are_left_out():
    assert not {"EPS", "PDF", "WMF", "MPEG", "IPTC", "HDF5", "GRIB", "BUFR"} & set(PILLOW_IDS)


def test_every_suffix_belongs_to_one_format():
    assert len(set(SUFFIXES)) == len(SUFFIXES)
    assert all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in SUFFIXES)


def test_folders_skip_no_file_of_a_format():
    assert not NOT_IMAGES & set(SUFFIXES)


def test_the_page_offers_no_file_of_another_format():
    html = (Path(__file__).parents[2] / "api" / "static" / "index.html").read_text(encoding="utf-8")
    offered = {name for accept in re.findall(r'accept="([^"]*)"', html) for name in accept.split(",")}
    assert offered - {"image/*"} <= set(SUFFIXES)


@pytest.mark.parametrize("id", FREQUENT)
def test_browsers_are_given_images_by_their_signature(id: str):
    data = encoded(quarters(16, 16), id)
    shown = browser_format(data[:SIGNATURE_BYTES])
    assert (shown.id if shown else None) == (None if id in ("TIFF", "HEIF") else id)
    assert unsupported_format(data) is None


def test_formats_that_browsers_show_have_a_signature_and_a_suffix():
    shown = [format for format in FORMATS if format.browser_type]
    assert len(shown) == 6
    assert all(format.signature and format.suffixes for format in shown)


def test_ids_are_those_of_opened_images():
    assert {"JPEG", "MPO"} == DRAFT_IDS
    assert {"TIFF", "HEIF"} == UPRIGHT_IDS


SNIFF = """
import resource
from embeddings.imaging.formats import FORMATS, UNSUPPORTED
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))  # of the processor, not of the clock
signatures = [f.signature for f in FORMATS if f.signature] + [signature for signature, _ in UNSUPPORTED]
tokens = [b"<!---->", b"<!--", b"-->", b"<?xml>", b"<?xml ", b"<!DOCTYPE svg>", b"<svg"]
tokens += [b" ", b"\\xef\\xbb\\xbf", b"\\0", b"<!-- -->\\n"]
for one in tokens:
    for other in tokens:
        for signature in signatures:
            signature.match(((one + other) * 2048)[:4095] + b"x")
"""


def test_no_file_takes_long_to_be_recognised():
    done = subprocess.run([sys.executable, "-c", SNIFF], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "start",
    [
        b"<svg ",
        b"\xef\xbb\xbf<svg>",
        b" \n<?xml version='1.0'?>\n<!-- a > b -- c -->\n<!DOCTYPE svg PUBLIC 'x'>\n<!----><svg\n",
    ],
)
def test_drawings_are_recognised_behind_what_may_come_first(start: bytes):
    assert unsupported_format(start) == "SVG"
    assert unsupported_format(start.replace(b"<svg", b"<html")) is None
