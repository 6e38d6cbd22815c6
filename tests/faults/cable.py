"""A cable between two network devices that it makes, with the weather of a file.

    cable.py HERE THERE WEATHER

The file has one line of JSON, and may be replaced at any time. `there` and `back` say whether anything
passes in that direction; `lost`, `doubled`, `damaged` and `late` are shares of the packets, `delay` is
the time that each takes, in seconds, and a late one takes twice as long: others overtake it.
"""

import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def device(name):
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return end


def damaged(packet):
    bytes_ = bytearray(packet)
    bytes_[random.randrange(len(bytes_))] ^= 1 << random.randrange(8)
    return bytes(bytes_)


def main():
    here, there = device(sys.argv[1]), device(sys.argv[2])
    other, direction = {here: there, there: here}, {here: "there", there: "back"}
    under_way, count = [], 0
    while True:
        pause = max(0, under_way[0][0] - time.monotonic()) if under_way else None
        ready, _, _ = select.select([here, there], [], [], pause)
        with open(sys.argv[3]) as file:
            weather = json.load(file)
        for end in ready:
            packet = os.read(end, 65536)
            if not weather[direction[end]] or random.random() < weather["lost"]:
                continue
            if random.random() < weather["damaged"]:
                packet = damaged(packet)
            for _ in range(2 if random.random() < weather["doubled"] else 1):
                late = 2 if random.random() < weather["late"] else 1
                count += 1
                due = time.monotonic() + weather["delay"] * late
                heapq.heappush(under_way, (due, count, other[end], packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, end, packet = heapq.heappop(under_way)
            try:
                os.write(end, packet)
            except OSError:
                pass  # What is damaged in its first bytes is no packet; or the other end is gone.


main()
