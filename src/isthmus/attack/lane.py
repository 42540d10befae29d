# SPDX-License-Identifier: MIT
"""A lane for the flow of somebody who means well, on a board that has none."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

import msgspec

from isthmus.board import Board
from isthmus.lanes import Lane

__all__ = ["with_lane"]

AnyBoard = TypeVar("AnyBoard", bound=Board)


def with_lane(board: AnyBoard, lane: Lane, rules: Collection[str]) -> AnyBoard:
    """The board with that lane and the rules of those names in it; a board with lanes of its own as it is."""
    if board.lane:
        return board
    moved = tuple(msgspec.structs.replace(r, lane=lane.name) if r.name in rules else r for r in board.filter)
    return msgspec.structs.replace(board, lane=(lane,), filter=moved)
