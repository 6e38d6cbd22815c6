"""Prints each event of a Durable Stream, until there are so many. After an error it continues where it was."""

import sys
import time

import httpx
from durable_streams import DurableStreamError, stream

url, live, count = sys.argv[1:]
offset, seen = "-1", 0
while seen < int(count):
    try:
        with stream(url, offset=offset, live=live) as session:
            for chunk in session.iter_events(mode="json"):
                for event in chunk.data:
                    print(event["sequence"], event["id"], flush=True)
                offset, seen = chunk.next_offset, seen + len(chunk.data)
                if seen >= int(count):
                    break
    except (DurableStreamError, httpx.HTTPError) as error:
        print(repr(error), file=sys.stderr, flush=True)
        time.sleep(0.1)
