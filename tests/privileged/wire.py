#!/usr/bin/env python3
"""A cable that delays and loses packets: carries Ethernet frames between two tap devices, given as descriptors.

    wire.py NEAR FAR [--mbit 20] [--delay-ms 30] [--loss 0.01] [--queue-ms 100] [--seed 1]

tc's netem does the same where the kernel has it; many kernels in containers do not. Runs until its standard input
ends, and then says how many packets it carried and lost.
"""

import argparse
import heapq
import os
import random
import select
import sys
import time


class Direction:
    """One way through the cable: a queue that drains at the cable's rate, then a delay."""

    def __init__(self, options, seed):
        self.options = options
        self.random = random.Random(seed)
        self.free_at = 0.0  # when the last packet will have gone into the cable

    def arrival(self, size, now):
        """When a packet of `size` bytes comes out at the other end; None if it is lost."""
        if self.random.random() < self.options.loss:
            return None
        start = max(now, self.free_at)
        if start - now > self.options.queue_ms / 1e3:
            return None
        self.free_at = start + size * 8 / (self.options.mbit * 1e6)
        return self.free_at + self.options.delay_ms / 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("near", type=int)
    parser.add_argument("far", type=int)
    parser.add_argument("--mbit", type=float, default=20)
    parser.add_argument("--delay-ms", type=float, default=30, help="each way")
    parser.add_argument("--loss", type=float, default=0.01, help="each way")
    parser.add_argument("--queue-ms", type=float, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    ways = {
        options.near: (options.far, Direction(options, options.seed)),
        options.far: (options.near, Direction(options, options.seed + 1)),
    }
    on_the_way, order, carried, lost = [], 0, 0, 0
    while True:
        wait = max(on_the_way[0][0] - time.monotonic(), 0) if on_the_way else None
        ready, _, _ = select.select([*ways, sys.stdin], [], [], wait)
        now = time.monotonic()
        if sys.stdin in ready:
            print(f"{carried} packets carried, {lost} lost")
            return
        for end in ready:
            other, way = ways[end]
            for _ in range(64):
                try:
                    packet = os.read(end, 65536)
                except BlockingIOError:
                    break
                arrival = way.arrival(len(packet), now)
                if arrival is None:
                    lost += 1
                else:
                    order += 1  # packets never overtake each other, not even by a tie
                    heapq.heappush(on_the_way, (arrival, order, other, packet))
        while on_the_way and on_the_way[0][0] <= now:
            _, _, other, packet = heapq.heappop(on_the_way)
            try:
                os.write(other, packet)
                carried += 1
            except OSError:  # the device is down
                lost += 1


if __name__ == "__main__":
    main()
