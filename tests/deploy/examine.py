"""Examines HTTP resources with REDbot, one after the other: the program of tests/deploy/redbot.rs.

Each line of the file that is named is a request, a JSON object with `method`, `url`, `headers` and `content`. For each, the
output has a line with its number and the status of the answer, and one for each note of REDbot: the number of the request,
the level, the name of the note, and its text.
"""

import json
import sys
from configparser import ConfigParser

import thor
from redbot.resource import HttpResource

CONFIG = ConfigParser()
CONFIG.read_dict({"redbot": {"enable_local_access": "True"}})


def notes(resource):
    """All notes about the answers of a resource, also those to the requests that REDbot adds: conditions, ranges, codings."""
    for each in [resource, *resource.subreqs.values()]:
        found = list(each.response.notes)
        while found:
            note = found.pop(0)
            found.extend(note.subnotes)
            yield each.check_name, note


def examine(number, asked, rest):
    # What changes something is sent once.
    resource = HttpResource(CONFIG["redbot"], active_checks_enabled=asked["method"] in ("GET", "HEAD"))
    headers = list(asked["headers"].items())
    resource.set_request(asked["url"], asked["method"], headers, asked["content"].encode())

    @thor.events.on(resource)
    def check_done():
        if resource.fetch_error:
            print(json.dumps([number, "bad", "FETCH_ERROR", resource.fetch_error.desc]))
        print(json.dumps([number, resource.response.status_code]))
        for check, note in notes(resource):
            text = f"{check}, {note.subject}: {note.summary}"
            print(json.dumps([number, note.level.value, type(note).__name__, text]))
        follow(rest)

    resource.check()


def follow(rest):
    for number, line in rest:
        return examine(number, json.loads(line), rest)
    thor.stop()


with open(sys.argv[1], encoding="utf-8") as requests:
    thor.schedule(0, follow, enumerate(requests.readlines()))
thor.run()
