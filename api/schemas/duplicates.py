"""Schemas of duplicates: groups, their images, decisions and scans."""

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
    """Evidence that an image and the reference of its group are alike."""

    phash_distance: int = Field(
        examples=[4], ge=0, le=64, description="Number of bits in which the perceptual hashes differ."
    )
    mirrored: bool = Field(examples=[False], description="Whether one of the two images is mirrored left to right.")
    score: float = Field(examples=[0.961], description="Cosine similarity.")
    pixels: float | None = Field(
        examples=[0.997],
        description="Agreement of the pixels after alignment; null if they were not compared.",
    )


class CopyOut(BaseModel):
    """One image of a group."""

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
        examples=[1],
        description="Number of files that it stands for: those with the same bytes; in similar groups also near ones.",
    )
    evidence: EvidenceOut | None = Field(description="Null for the reference, and in exact groups.")


class GroupOut(BaseModel):
    """Images that belong together; nothing is ever deleted because of it."""

    id: str = Field(examples=["near-054076db8beb4be7"])
    kind: Kind
    kept: bool = Field(examples=[False], description="Whether a decision keeps all images of the group.")
    count: int = Field(examples=[2], description="Number of images in the group; `images` has at most 500 of them.")
    best: ImageId = Field(description="The id of the best copy, the one to keep.")
    best_because: str = Field(
        examples=["resolution"],
        description="What sets it apart from the next best: `resolution`, `camera_date`, `size`, `date` or `path`.",
    )
    reference: str | None = Field(
        examples=["cat-2"], description="The id of the image that the evidence compares with; null in exact groups."
    )
    images: list[CopyOut]


class ScanOut(BaseModel):
    """The progress of a scan for duplicates; groups are available while it runs."""

    state: ScanStatus = Field(examples=["running"])
    stage: str = Field(
        examples=["looking"],
        description="`reading` new images, `comparing` their vectors, `looking` at the pixels of candidates.",
    )
    scanned: int = Field(examples=[512], description="Number of finished items of this stage.")
    total: int = Field(examples=[7394], description="Number of items of this stage.")
    complete_at: datetime | None = Field(examples=[None], description="End of the last complete scan, in UTC.")
    reason: str | None = Field(examples=[None], description="Why the scan failed.")


class Totals(BaseModel):
    """Number of groups of each kind."""

    exact: int
    near: int
    similar: int


class GroupsPage(Page):
    """Groups: exact, then near, then similar ones, and within a kind the largest first."""

    totals: Totals
    scan: ScanOut
    groups: list[GroupOut]


class GroupsExport(BaseModel):
    """All groups in one document."""

    groups: list[GroupOut]


class DecisionRequest(Request):
    """A decision about a group."""

    decision: Literal["keep_all", "not_duplicates"]


class DecisionOut(BaseModel):
    """A decision; it holds for these contents, whatever the names of their files, until it is deleted."""

    id: str = Field(examples=["near-054076db8beb4be7"], description="The group's id.")
    decision: Action
    decided_at: datetime = Field(examples=["2026-06-01T08:30:00Z"])
    content_hashes: list[ContentHash]


class DecisionsPage(Page):
    """Decisions, latest first."""

    decisions: list[DecisionOut]
