# SPDX-License-Identifier: MIT
"""Every example in a docstring of the package runs."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import isthmus

NO_MODULES = ("__main__", "._native", ".crafted.craft")  # the last: a program, which wants arguments
MODULES = ["isthmus", *(m.name for m in pkgutil.walk_packages(isthmus.__path__, "isthmus."))]


@pytest.mark.parametrize("module", [m for m in MODULES if not m.endswith(NO_MODULES)])
def test_examples_run(module: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert not failed
