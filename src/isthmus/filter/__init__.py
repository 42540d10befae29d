# SPDX-License-Identifier: MIT
"""The critical side's allow-list: rules of a board file, the table that core/filter.c walks, its oracle."""

from __future__ import annotations

from isthmus.filter.addresses import identifiers
from isthmus.filter.rule import DEFAULT, Ends, Problem, Rule, check
from isthmus.filter.table import compile_table

__all__ = ["DEFAULT", "Ends", "Problem", "Rule", "check", "compile_table", "identifiers"]
