# SPDX-License-Identifier: MIT
"""No arrival of frames costs a task its deadline, by a simulation of the scheduling alone with an adversary;
without the network work's budget of processor time tasks miss theirs. The longest response that the adversary
finds is not above what `isthmus board check` computes, and close to it."""

from __future__ import annotations

import msgspec
import pytest

from isthmus.trustzone.board import Secure, load, responses, slack
from scheduling import simulate


@pytest.fixture(scope="module")
def secure() -> Secure:
    return load().secure


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "periods", [pytest.param(10_000, id="10^4"), pytest.param(1_000_000, id="10^6", marks=pytest.mark.slow)]
)
def test_no_arrival_costs_a_deadline(secure: Secure, periods: int, seed: int) -> None:
    out = simulate(secure, periods, seed)
    assert set(out.missed.values()) == {0}, out
    for bound in responses(secure):
        if bound.name != "network":
            assert bound.us is not None
            assert 0.8 * bound.us <= out.longest[bound.name] <= bound.us, bound.name
    assert out.network_most == secure.network.cost_us


def test_without_the_server_deadlines_are_missed(secure: Secure, seed: int) -> None:
    out = simulate(secure, 10_000, seed, server=False)
    assert out.missed["supervision"] > 100
    assert out.missed["control"] == 0, "it stands above the network work"


def test_a_set_without_slack_is_seen_to_miss(secure: Secure, seed: int) -> None:
    """The adversary finds what the analysis says."""
    grown = 1 + slack(secure) + 0.02
    network = msgspec.structs.replace(secure.network, cost_us=int(secure.network.cost_us * grown))
    tasks = tuple(msgspec.structs.replace(t, cost_us=int(t.cost_us * grown)) for t in secure.task)
    fuller = msgspec.structs.replace(secure, network=network, task=tasks)
    assert not all(r.ok for r in responses(fuller))
    assert sum(simulate(fuller, 10_000, seed).missed.values()) > 0
