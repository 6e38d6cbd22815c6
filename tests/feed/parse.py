"""Reads Atom documents with feedparser, and prints what it found in each, as JSON."""

import json
import sys

import feedparser

HEADERS = {"content-type": "application/atom+xml; charset=utf-8"}


def read(path):
    with open(path, "rb") as document:
        feed = feedparser.parse(document.read(), response_headers=HEADERS)
    return {
        "trouble": str(feed.bozo_exception) if feed.bozo else None,
        "version": feed.version,
        "title": feed.feed.title,
        "author": feed.feed.author,
        "entries": [{"id": entry.id, "title": entry.title} for entry in feed.entries],
    }


print(json.dumps([read(path) for path in sys.argv[1:]]))
