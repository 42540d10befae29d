# SPDX-License-Identifier: MIT
"""iceoryx2 from Python: a publisher and a subscriber each way, polling, none lost. It has no batch calls."""

from __future__ import annotations

import ctypes
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.bench.ports import SLOTS, Broken, Make, Missing, Port

PATIENCE_SECONDS = 5.0


@contextmanager
def ends() -> Iterator[Make]:
    try:
        import iceoryx2
    except ImportError:
        raise Missing("no iceoryx2 here; install isthmus[bench]") from None

    prefix = f"isthmus_bench_{os.getpid()}_"
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as folder:
        config = iceoryx2.config.default()
        config.global_cfg.prefix = iceoryx2.FileName.new(prefix)
        config.global_cfg.root_path = iceoryx2.Path.new(folder)
        try:
            yield lambda end, settings: port(iceoryx2, config, end, settings["frame"])
        finally:
            for left in Path("/dev/shm").glob(f"{prefix}*"):
                left.unlink()


def port(iox: Any, config: Any, end: int, size: int) -> Port:
    node = iox.NodeBuilder.new().config(config).create(iox.ServiceType.Ipc)

    def service(name: str) -> Any:
        builder = node.service_builder(iox.ServiceName.new(name)).publish_subscribe(iox.Slice[ctypes.c_uint8])
        return (
            builder.enable_safe_overflow(False)
            .subscriber_max_buffer_size(SLOTS)
            .subscriber_max_borrowed_samples(2)
            .open_or_create()
        )

    names = ("there", "back")
    out = service(names[end]).publisher_builder().initial_max_slice_len(max(size, 64))
    publisher = out.backpressure_strategy(iox.BackpressureStrategy.RetryUntilDelivered).create()
    subscriber = service(names[1 - end]).subscriber_builder().buffer_size(SLOTS).create()
    meet(node, service, names)
    publisher.update_connections()

    def send(frame: bytes) -> None:
        sample = publisher.loan_slice_uninit(len(frame))
        ctypes.memmove(sample.payload_ptr, frame, len(frame))
        sample.assume_init().send()

    def receive() -> bytes:
        while (sample := subscriber.receive()) is None:
            pass
        payload = sample.payload()
        frame = ctypes.string_at(payload.data_ptr, payload.number_of_elements)
        sample.delete()
        return frame

    return Port(send, receive)


def meet(node: Any, service: Any, names: tuple[str, str]) -> None:
    """Until both directions have both ends."""
    services = [service(name) for name in names]
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        counts = [s.dynamic_config for s in services]
        if all(c.number_of_publishers == 1 and c.number_of_subscribers == 1 for c in counts):
            return
        time.sleep(0.001)
    raise Broken("the two ends did not find each other")
