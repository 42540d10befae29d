# SPDX-License-Identifier: MIT
"""What the Secure world writes where Linux reads it: nothing old, and nothing of its own addresses.

The Secure world's buffer is read whole, as a compromised Linux would. Padding is what a record has beyond its
frame and the frame beyond its packet. In the core's own attack leak-62 each length is tried with a canary in
the memory below; here both worlds are real, and what lies below is what was sent before.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

import pytest

from host_tools import eventually
from isthmus.qemu.linked import LinkedMachine
from machines import Machine

IP = "10.77.0.2"
CANARY = b"\xa7\x5c\xc3\x99"
CONTROL, HEADER, ALIGN = 0x200, 16, 16
ETHERNET, IPV4 = 14, 20
SHORT = range(1, 19)  # bytes of payload: an Ethernet frame of 60 bytes with padding, or just filled


def echo(machine: Machine, payload: bytes) -> None:
    with machine.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(1)

        def returned() -> bool:
            try:
                s.sendto(payload, (IP, 7))
                return s.recv(2048) == payload
            except TimeoutError:
                return False

        assert eventually(returned, 10 * machine.slower)


def records(buffer: bytes, ring: int) -> Iterator[bytes]:
    """Whole records of datagrams, wherever they lie: known by length, EtherType and zero offload fields."""
    for at in range(CONTROL, CONTROL + ring, ALIGN):
        length, _, flags, csum = struct.unpack_from("<IIII", buffer, at)
        frame = buffer[at + HEADER : at + HEADER + length]
        udp = frame[12:14] == b"\x08\0" and frame[ETHERNET + 9 : ETHERNET + 10] == b"\x11"
        whole = at + HEADER + length < CONTROL + ring
        if 60 <= length <= 1514 and flags == csum == 0 and udp and whole:
            yield buffer[at : at + HEADER + (length + ALIGN - 1) // ALIGN * ALIGN]


def padding(record: bytes) -> bytes:
    """What is behind the packet, to the end of the record."""
    (total,) = struct.unpack_from(">H", record, HEADER + ETHERNET + 2)
    return record[HEADER + ETHERNET + total :]


def old_bytes(buffer: bytes, ring: int) -> list[bytes]:
    found = list(records(buffer, ring))
    assert len(found) >= len(SHORT), "the records of the echoes are there"
    return [r for r in found if any(padding(r))]


def addresses(buffer: bytes, regions: list[tuple[int, int]]) -> list[int]:
    """Aligned words of 64 bits that lie in one of the regions."""
    found = []
    for at in range(0, len(buffer) - 7, 4):
        (word,) = struct.unpack_from("<Q", buffer, at)
        if any(low <= word < high for low, high in regions):
            found.append(at)
    return found


def private(machine: Machine) -> list[tuple[int, int]]:
    """Where the Secure world's own memory lies, as it addresses it."""
    if isinstance(machine.real, LinkedMachine):
        memory = machine.real.board.memory
        return [(r.base, r.end) for r in (memory.secure, memory.monitor)]
    try:
        with open(f"/proc/{machine.real.pid('secure')}/maps", encoding="ascii") as maps:
            lines = [line.split() for line in maps]
    except PermissionError:
        return []
    return [(int(low, 16), int(high, 16)) for low, _, high in (line[0].partition("-") for line in lines)]


def test_padding_and_slots_carry_nothing_old(machine: Machine) -> None:
    for n in range(20):  # what is there before
        echo(machine, CANARY * (300 + n))
    for n in SHORT:
        echo(machine, CANARY[:1] * n)
    ring = machine.board.secure.ring_bytes
    buffer = machine.buffer("secure")
    assert old_bytes(buffer, ring) == []
    short = next(r for r in records(buffer, ring) if r[:4] == struct.pack("<I", 60))
    spoilt = buffer.replace(short, short[:-1] + CANARY[:1])  # the control: one old byte behind it is seen
    assert old_bytes(spoilt, ring)


def test_no_secure_address_leaves(machine: Machine) -> None:
    regions = private(machine)
    if not regions:
        pytest.skip("leaks: an ordinary user cannot see where the Secure world's memory lies")
    echo(machine, CANARY * 4)
    buffer = machine.buffer("secure")
    assert addresses(buffer, regions) == []
    planted = struct.pack("<Q", regions[0][0] + 0x40) * 3  # the control: an echo that carries one is seen
    echo(machine, os.urandom(2) + planted)  # behind the UDP header, aligned
    assert addresses(machine.buffer("secure"), regions)
