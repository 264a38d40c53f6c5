"""The table of image formats, and the lists elsewhere that must agree with it."""

import re
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
