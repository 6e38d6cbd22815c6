"""Answers a question about the workspace from `cargo metadata` on its standard input.

    libraries     the members that can be published
    rust-version  the oldest Rust, as Cargo.toml declares it; fails where a crate needs a newer one
"""

import json
import sys


def number(version):
    """A version as it is compared: 1.94 is 1.94.0."""
    parts = [int(part) for part in version.split(".")]
    return parts + [0] * (3 - len(parts))


def libraries(packages):
    # `publish` is null without a restriction, and an empty list for `publish = false`.
    ours = [package["name"] for package in packages if package["source"] is None and package["publish"] != []]
    return " ".join(sorted(ours)) or sys.exit("no member of the workspace can be published")


def rust_version(packages):
    ours = {package["name"]: package["rust_version"] for package in packages if package["source"] is None}
    if len(set(ours.values())) != 1 or None in ours.values():
        sys.exit(f"the members of the workspace declare different versions of Rust: {ours}")
    declared = next(iter(ours.values()))
    newer = [
        f"{package['name']} {package['version']} needs Rust {package['rust_version']}"
        for package in packages
        if number(package["rust_version"] or "1.0") > number(declared)
    ]
    if newer:
        sys.exit("\n".join([f"Cargo.toml declares Rust {declared}, but", *sorted(newer)]))
    return ".".join(map(str, number(declared)))


answers = {"libraries": libraries, "rust-version": rust_version}
print(answers[sys.argv[1]](json.load(sys.stdin)["packages"]))
