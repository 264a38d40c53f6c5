"""Decoding as pipelines do it that know no shrinking: the whole picture, then one resize by Pillow.

Runs in the decode processes, so it imports no more than they do.
"""

import io

import numpy as np
from PIL import Image, ImageOps

from embeddings.exif import taken_at
from embeddings.geometry import InputSpec, Turn, frame
from embeddings.images import DecodedImage
from embeddings.phash import phash


def decode(data: bytes, spec: InputSpec) -> DecodedImage:
    """Return what embeddings.images.decode does, of a picture that fills the model's crop, decoded at full size.

    The perceptual hash is taken of the small picture, which costs this way of decoding next to nothing.
    """
    opened = Image.open(io.BytesIO(data))
    opened.load()
    taken = taken_at(opened)
    image = ImageOps.exif_transpose(opened).convert("RGB")
    framing = frame(image.width, image.height, spec)
    small = image.resize(framing.size, spec.resampling, box=framing.source)
    return DecodedImage(np.asarray(small), image.width, image.height, phash(small, Turn()), taken)
