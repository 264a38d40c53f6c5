"""Duplicates as they are on the wire."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from api.schemas.requests import Request
from api.schemas.responses import (
    Bytes,
    ContentHash,
    Height,
    ImageId,
    ImagePath,
    ModifiedAt,
    Page,
    TakenAt,
    ThumbnailPath,
    Width,
)
from duplicates.background_scan import ScanStatus
from duplicates.decisions import Action
from duplicates.evidence import Kind


class EvidenceOut(BaseModel):
    """What speaks for a picture being like the group's reference."""

    phash_distance: int = Field(examples=[4], ge=0, le=64, description="Bits in which the perceptual hashes differ.")
    mirrored: bool = Field(examples=[False], description="Whether one of the two is mirrored left to right.")
    score: float = Field(examples=[0.961], description="Cosine similarity.")
    pixels: float | None = Field(
        examples=[0.997],
        description="How far the pixels agree, laid over each other; null where they were not compared.",
    )


class CopyOut(BaseModel):
    """One picture of a group."""

    id: ImageId
    path: ImagePath
    width: Width
    height: Height
    bytes: Bytes
    content_hash: ContentHash
    taken_at: TakenAt
    modified_at: ModifiedAt
    thumbnail: ThumbnailPath
    copies: int = Field(
        examples=[1], description="Files it stands for: those with the same bytes; in similar groups near ones too."
    )
    evidence: EvidenceOut | None = Field(description="Null for the reference, and where the bytes are the same.")


class GroupOut(BaseModel):
    """Pictures that belong together; nothing is ever deleted because of it."""

    id: str = Field(examples=["near-054076db8beb4be7"])
    kind: Kind
    kept: bool = Field(examples=[False], description="Whether it was decided that all of them stay.")
    count: int = Field(
        examples=[2], description="Pictures in the group; of very large ones the first 500 are in `images`."
    )
    best: ImageId = Field(description="The id of the copy that is suggested to be kept.")
    best_because: str = Field(
        examples=["resolution"],
        description="What it has over the next best: `resolution`, `camera_date`, `size`, `date` or `path`.",
    )
    reference: str | None = Field(
        examples=["cat-2"], description="The id that the evidence compares with; null where the bytes are same."
    )
    images: list[CopyOut]


class ScanOut(BaseModel):
    """How far looking for duplicates is. Groups that were found are shown while it goes on."""

    state: ScanStatus = Field(examples=["running"])
    stage: str = Field(
        examples=["looking"],
        description="`reading` new pictures, `comparing` them, `looking` at the pixels of candidates.",
    )
    scanned: int = Field(examples=[512], description="What of this stage is done.")
    total: int = Field(examples=[7394])
    complete_at: datetime | None = Field(examples=[None], description="When everything was last looked at, in UTC.")
    reason: str | None = Field(examples=[None], description="Why it failed.")


class Totals(BaseModel):
    """Groups of each kind."""

    exact: int
    near: int
    similar: int


class GroupsPage(Page):
    """Groups, exact ones first, then near and similar ones; in each kind the largest first."""

    totals: Totals
    scan: ScanOut
    groups: list[GroupOut]


class GroupsExport(BaseModel):
    """All groups in one document."""

    groups: list[GroupOut]


class DecisionRequest(Request):
    """What is decided about a group."""

    decision: Literal["keep_all", "not_duplicates"]


class DecisionOut(BaseModel):
    """What was decided; it holds for these contents, under whatever names, until it is taken back."""

    id: str = Field(examples=["near-054076db8beb4be7"], description="The group's id.")
    decision: Action
    decided_at: datetime = Field(examples=["2026-06-01T08:30:00Z"])
    content_hashes: list[ContentHash]


class DecisionsPage(Page):
    """Decisions, the latest first."""

    decisions: list[DecisionOut]
