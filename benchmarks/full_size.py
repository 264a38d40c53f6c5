"""Decoding as pipelines do it that know no shrinking: the whole picture, then one resize by Pillow.

Runs in the decode processes, so it imports no more than they do.
"""

import io

import numpy as np
from PIL import Image, ImageOps

from embeddings.imaging.decode import DecodedImage
from embeddings.imaging.exif import taken_at
from embeddings.imaging.geometry import InputSpec, Orientation, crop_plan
from embeddings.imaging.phash import phash


def decode(data: bytes, spec: InputSpec) -> DecodedImage:
    """Do as embeddings.imaging.decode.decode, at full size, for a picture that fills the model's crop.

    The perceptual hash is taken of the small picture, which costs this way of decoding next to nothing.
    """
    opened = Image.open(io.BytesIO(data))
    opened.load()
    taken = taken_at(opened)
    image = ImageOps.exif_transpose(opened).convert("RGB")
    plan = crop_plan(image.width, image.height, spec)
    small = image.resize(plan.size, spec.resampling, box=plan.source)
    return DecodedImage(np.asarray(small), image.width, image.height, phash(small, Orientation()), taken)
