# SPDX-License-Identifier: MIT
"""Nothing that a weaker processor may reorder can hurt: each ordering that the protocol needs is a litmus
test whose threads are what the machine code really does (arm_trace.py), judged by the model (litmus.py).

    publication   record written, then head        head read, then record
    consumption   record read, then tail           tail read, then record overwritten
    wake-up       cursor written, then wake word read      wake word written, then cursor read     (both ways)
    identity      words written, then state        state read, then words
    departure     state written, then cursor       cursor read, then state                (both ways)

Only barriers count: a dependency that one compiler keeps is one that the next may drop. The docs' table of
orderings (docs/DESIGN.md) is compared with this file.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from arm_trace import COMPILERS, CROSS, Processor, Seen, Trace, core_image, module_image
from core_programs import ROOT, compiler
from litmus import Access, Fence, Op, allowed

LEVELS = ("-O0", "-O1", "-O2", "-O3", "-Os")
CONTROL = {0x000: "state", 0x080: "head", 0x100: "tail", 0x180: "wake_rx", 0x184: "wake_tx"}
IDENTITY = range(0x008, 0x020)  # epoch, digest, mtu, features
RECORDS = 0x200
NEW, OLD = 1, 0


def place(seen: Seen) -> str:
    """What the access is to: a control word, `identity` or `record`, by whose it is."""
    if seen.offset >= RECORDS:
        what = "record"
    else:
        what = "identity" if seen.offset in IDENTITY else CONTROL.get(seen.offset, "other")
    return f"{seen.owner}.{what}"


def projections(trace: Trace, places: Sequence[str]) -> set[tuple[Op, ...]]:
    """The trace with one access of each of `places` and every barrier. Where it makes several, each has its
    turn: what holds for each word of a record holds for the record."""
    found: set[tuple[Op, ...]] = set()
    of = {p: [i for i, s in enumerate(trace) if isinstance(s, Seen) and place(s) == p] for p in places}
    for p, at in of.items():
        assert at, f"nothing is done to {p}"
    for first in of[places[0]]:
        for second in of[places[1]]:
            ops: list[Op] = []
            for i, seen in enumerate(trace):
                if isinstance(seen, Fence):
                    if not ops or ops[-1] != seen:
                        ops.append(seen)
                elif i in (first, second):
                    ops.append(Access(seen.store, place(seen), seen.order))
            found.add(tuple(ops))
    return found


judge = functools.cache(allowed)


@dataclass(frozen=True)
class Ordering:
    """Two threads, what each touches in which order, and what its loads must never return together."""

    places: tuple[tuple[str, str], tuple[str, str]]
    bad: dict[str, int]  # by place, of those that are loaded
    removed: tuple[tuple[str, str], ...]  # of shared.h: what makes it hold, and what is left without


RELEASE = ("(own + offset), value, __ATOMIC_RELEASE", "(own + offset), value, __ATOMIC_RELAXED")
ACQUIRE = ("ist_word_at(peer, offset), __ATOMIC_ACQUIRE", "ist_word_at(peer, offset), __ATOMIC_RELAXED")
FENCE = ("__atomic_thread_fence(__ATOMIC_SEQ_CST);", "IST_COMPILER_BARRIER();")

ORDERINGS = {
    "publication": Ordering(
        (("normal.record", "normal.head"), ("normal.head", "normal.record")),
        {"normal.head": NEW, "normal.record": OLD},
        (RELEASE, ACQUIRE),
    ),
    "consumption": Ordering(
        (("normal.record", "secure.tail"), ("secure.tail", "normal.record")),
        {"normal.record": NEW, "secure.tail": NEW},
        (RELEASE, ACQUIRE),
    ),
    "wake the receiver": Ordering(
        (("normal.head", "secure.wake_rx"), ("secure.wake_rx", "normal.head")),
        {"normal.head": OLD, "secure.wake_rx": OLD},
        (FENCE,),
    ),
    "wake the sender": Ordering(
        (("secure.tail", "normal.wake_tx"), ("normal.wake_tx", "secure.tail")),
        {"secure.tail": OLD, "normal.wake_tx": OLD},
        (FENCE,),
    ),
    "identity": Ordering(
        (("normal.identity", "normal.state"), ("normal.state", "normal.identity")),
        {"normal.state": NEW, "normal.identity": OLD},
        (RELEASE, ACQUIRE),
    ),
    "departure": Ordering(
        (("normal.state", "normal.head"), ("normal.head", "normal.state")),
        {"normal.head": NEW, "normal.state": OLD},
        (RELEASE, ACQUIRE),
    ),
    "departure of a receiver": Ordering(
        (("secure.state", "secure.tail"), ("secure.tail", "secure.state")),
        {"secure.tail": NEW, "secure.state": OLD},
        (RELEASE, ACQUIRE),
    ),
}


# ---- what the code does -------------------------------------------------------------------------------


def until_store(trace: Trace, what: str) -> Trace:
    """As far as the first store to `what`, that included."""
    end = next(i for i, s in enumerate(trace) if isinstance(s, Seen) and s.store and place(s) == what)
    return trace[: end + 1]


def after_store(trace: Trace, what: str) -> Trace:
    """What follows the first store to `what`."""
    return trace[len(until_store(trace, what)) :]


@dataclass
class Work:
    """The calls whose traces are the two threads of each ordering, on one image."""

    image: Path
    tag: int = 0

    @functools.cached_property
    def ready(self) -> Processor:
        return Processor(self.image, self.tag)

    def processor(self) -> Processor:
        """In RUN, with nothing in flight."""
        self.ready.connect()
        return self.ready

    def ways_to_send(self, p: Processor) -> Iterator[Callable[[], int]]:
        if "ist_send" in p.symbols:  # what an image has no use for was left out of it
            yield p.send
        yield p.append
        if "ist_place" in p.symbols and not self.tag:
            yield p.write_in_place

    def ways_to_receive(self, p: Processor) -> Iterator[Callable[[], int]]:
        yield p.receive
        if "ist_receive" in p.symbols:
            yield p.receive_at_once

    def threads(self, name: str) -> tuple[list[Trace], list[Trace]]:
        """Traces of the first thread, and of the second: each of one is to hold against each of the other."""
        return getattr(self, name.replace(" ", "_"))()  # type: ignore[no-any-return]

    def publication(self) -> tuple[list[Trace], list[Trace]]:
        p = self.processor()
        written, read = [], []
        for receive in self.ways_to_receive(p):
            for send in self.ways_to_send(p):
                written.append(p.traced(send, lambda: p.sender("ist_publish")))
                read.append(p.traced(receive))
        return written, read

    def fill(self, send: Callable[[], int]) -> None:
        while send() == 0:
            self.ready.sender("ist_publish")

    def drain(self) -> None:
        while self.ready.receive() == 0:
            pass

    def consumption(self) -> tuple[list[Trace], list[Trace]]:
        p = self.processor()
        read, written = [], []
        for send in self.ways_to_send(p):
            for receive in self.ways_to_receive(p):
                self.fill(send)
                taken = p.traced(*[receive] * 3)  # the peer is told a quarter of the ring at a time
                read.append(until_store(taken, "secure.tail"))
                read.append(p.traced(receive, lambda: p.receiver("ist_release")))
            self.drain()
            written.append(p.traced(send))
            self.fill(send)
            self.drain()
            written.append(p.traced(lambda: p.sender("ist_room"), send))
        return read, written

    def wake_the_receiver(self) -> tuple[list[Trace], list[Trace]]:
        p = self.processor()
        p.append()
        told = p.traced(lambda: p.sender("ist_publish"))
        p.receive()
        return [told], [p.traced(lambda: p.receiver("ist_arm", 1))]

    def wake_the_sender(self) -> tuple[list[Trace], list[Trace]]:
        p = self.processor()
        while p.append() == 0:
            p.sender("ist_publish")
        slept = p.traced(lambda: p.sender("ist_arm_tx", 1000))
        return [p.traced(*[p.receive] * 2, lambda: p.receiver("ist_release"))], [slept]

    def identity(self) -> tuple[list[Trace], list[Trace]]:
        p = self.processor()
        began = p.traced(lambda: p.begin(0))
        p.begin(1)
        return [after_store(began, "normal.state")], [p.traced(lambda: p.receiver("ist_poll", 1))]

    def departure(self) -> tuple[list[Trace], list[Trace]]:
        p = self.processor()
        p.append()
        p.sender("ist_publish")
        p.receive()
        began = p.traced(lambda: p.begin(0))
        return [until_store(began, "normal.head")], [p.traced(p.receive)]

    def departure_of_a_receiver(self) -> tuple[list[Trace], list[Trace]]:
        p = self.processor()
        self.fill(p.append)
        self.drain()
        p.sender("ist_room")
        began = p.traced(lambda: p.begin(1))
        return [until_store(began, "secure.tail")], [p.traced(lambda: p.sender("ist_room"))]


def hurts(work: Work, name: str) -> bool:
    """May the two threads end as they must not?"""
    ordering = ORDERINGS[name]
    sides = [
        {ops for trace in traces for ops in projections(trace, places)}
        for traces, places in zip(work.threads(name), ordering.places, strict=True)
    ]
    found = False
    for first in sides[0]:
        for second in sides[1]:
            loads = [op for op in (*first, *second) if isinstance(op, Access) and not op.store]
            assert {op.at for op in loads} == ordering.bad.keys()
            found |= judge((first, second), tuple(ordering.bad[op.at] for op in loads))
    return found


# ---- and whether it holds -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    return functools.cache(lambda cc, level: core_image(tmp_path_factory.mktemp("core"), cc, level))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("cc", COMPILERS)
def test_the_core_holds_every_ordering(cc: str, level: str, images: Callable[[str, str], Path]) -> None:
    for tag in (0, 1, 2):
        work = Work(images(cc, level), tag)
        assert not [name for name in ORDERINGS if hurts(work, name)]


@pytest.mark.qemu
def test_linuxs_driver_holds_every_ordering(tmp_path: Path) -> None:
    from isthmus.build.guest import driver
    from isthmus.build.packages import debian_kernel

    work = Work(module_image(tmp_path, driver(debian_kernel())))
    assert not [name for name in ORDERINGS if hurts(work, name)]


@pytest.mark.qemu
def test_the_secure_runtime_holds_every_ordering() -> None:
    from isthmus.build.payload import payload
    from isthmus.trustzone.board import load

    work = Work(payload(load()))
    assert not [name for name in ORDERINGS if hurts(work, name)]


def replaced(file: str, was: str, becomes: str) -> Callable[[str, str], str]:
    def change(name: str, text: str) -> str:
        if name != file:
            return text
        assert text.count(was) == 1, f"{file} no longer says {was!r}"
        return text.replace(was, becomes)

    return change


@pytest.mark.parametrize("removed", [RELEASE, ACQUIRE, FENCE], ids=["release", "acquire", "fence"])
def test_without_its_barrier_an_ordering_is_lost(removed: tuple[str, str], tmp_path: Path) -> None:
    """The positive control: each ordering that names it breaks, and no other."""
    work = Work(core_image(tmp_path, "gcc", "-O2", replaced("shared.h", *removed)))
    assert [n for n in ORDERINGS if hurts(work, n)] == [
        n for n, o in ORDERINGS.items() if removed in o.removed
    ]


FENCES = {
    "publish": ("ring.c", "ist_fence(); /* the head", "wake the receiver"),
    "arm": ("guard.c", "ist_fence(); /* the request", "wake the receiver"),
    "release": ("guard.c", "ist_fence();\n    else", "wake the sender"),
    "arm_tx": ("ring.c", "ist_fence();\n    return ist_room", "wake the sender"),
}


@pytest.mark.parametrize("call", FENCES)
def test_a_fence_on_one_side_does_not_wake(call: str, tmp_path: Path) -> None:
    file, was, broken = FENCES[call]
    text = was.replace("ist_fence()", "IST_COMPILER_BARRIER()")
    work = Work(core_image(tmp_path, "gcc", "-O2", replaced(file, was, text)))
    assert [name for name in ORDERINGS if hurts(work, name)] == [broken]


# ---- the doorbell -------------------------------------------------------------------------------------

# On the Secure world's own core the frame is read by the processor that wrote it: there is nothing to order.
# To another core the bell is an interrupt, which does not wait for memory accesses unless it is told to.

FUNCTION = re.compile(r"^[0-9a-f]{8,16} <(\w+)>:\n((?:.+\n)*)", re.MULTILINE)
BARRIER = re.compile(r"\tdsb\t(?:ishst|ish|st|sy)$")
#: What raises one, by the GIC's version: to another core (a register; GICD_SGIR's address), and to Linux.
KICK = {3: r"\tmsr\ticc_\w*sgi\w*_el1, ", 2: r"\tmov\tx\d+, #0xf00\b"}
PEND = r"\tb\t.*<gicd_set_ispendr>"


def bells(listing: str, rings: str) -> dict[str, bool]:
    """The functions that raise an interrupt, and whether all that was stored before is there by then."""
    found = {}
    for name, body in FUNCTION.findall(listing):
        lines = [line.split("//")[0].rstrip() for line in body.splitlines()]
        rung = [i for i, line in enumerate(lines) if re.search(rings, line)]
        if rung:
            found[name] = any(BARRIER.search(line) for line in lines[: rung[0]])
    return found


@pytest.mark.qemu
@pytest.mark.parametrize("version", KICK)
def test_a_bell_to_another_core_comes_behind_the_frame(version: int) -> None:
    from isthmus.build.firmware import stages
    from isthmus.trustzone.board import load

    elf = stages(load(changes=[f"gic.version={version}"])) / "bl31.elf"
    listing = compiler(f"{CROSS}objdump", "-d", "--no-show-raw-insn", str(elf))
    for rings in (KICK[version], PEND):
        found = bells(listing, rings)
        assert found
        assert all(found.values()), found
        without = bells(re.sub(r".*\tdsb\t.*\n", "", listing), rings)
        assert without == dict.fromkeys(found, False), "the positive control"


@pytest.mark.qemu
def test_a_latched_bell_comes_behind_the_frame() -> None:
    """It is a word under the monitor's lock: giving the lock back is a release, taking it an acquire."""
    from isthmus.build.firmware import stages
    from isthmus.trustzone.board import load

    board = load(changes=("core.normal=[0, 1]",))  # one core alone needs no lock
    listing = compiler(f"{CROSS}objdump", "-d", "--no-show-raw-insn", str(stages(board) / "bl31.elf"))
    functions = dict(FUNCTION.findall(listing))
    loads = re.findall(r"\t(ld\w*)\t", functions["lock_take"])
    assert set(loads) == {"ldaxr", "ldaxrh"}, "whichever of them sees the lock free"
    stores = re.findall(r"\t(st\w*)\t", listing)
    assert "stlrh" in stores
    assert "strh" not in re.findall(r"\t(st\w*)\t", functions["leave_secure"] + functions["normal_leave"])


def test_no_board_asks_for_the_sleepers_fence() -> None:
    """With it agreed, publishing passes no barrier: the sleeper has Linux make all others pass one."""
    from isthmus.trustzone import generate

    spec = (ROOT / "docs" / "SPEC.md").read_text()
    bit = re.search(r"^\| (\d+) \| `IST_FEATURE_SLEEPER_FENCE`", spec, re.MULTILINE)
    assert bit
    assert not generate.FEATURES & int(bit[1])


# ---- the docs' table ----------------------------------------------------------------------------------


def test_the_docs_name_every_ordering() -> None:
    text = (ROOT / "docs" / "DESIGN.md").read_text()
    table = text[text.index("| Ordering |") :].split("\n\n")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert rows == [
        *ORDERINGS,
        "doorbell to another core",
        "doorbell that is latched",
        "doorbell on one core",
    ]
