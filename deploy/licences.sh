#!/bin/sh
# Writes to the directory $1 what the programs for the target $2 are made of: the file `packages` with the
# licence and the repository of each, and the file `texts` with the texts that come with them, each once. The build of
# the image runs it, in the workspace, after cargo has fetched the packages.
set -eu
out=$1
target=$2
sources=${CARGO_HOME:-$HOME/.cargo}/registry/src
texts=$(mktemp -d)
trap 'rm -rf "$texts"' EXIT
mkdir -p "$out"

# keep PACKAGE FILE: remembers that a file of this package has this text.
keep() {
    sum=$(sha256sum "$2")
    cp "$2" "$texts/${sum%% *}"
    echo "$1" >>"$texts/${sum%% *}.packages"
}

cargo tree --locked --target "$target" --edges normal --prefix none --no-dedupe --format '{p};{l};{r}' \
    --package order --package invoice --package shipping |
    sed 's/ (proc-macro)//; s/ v\([^;]*\)/ \1/; s/ (\/[^;]*)//' | grep . | sort -u >"$out/packages"

while IFS=';' read -r package _; do
    for file in "$sources"/*/"${package% *}-${package#* }"/*; do
        case ${file##*/} in
        [Ll][Ii][Cc][Ee][Nn][CcSs][Ee]* | COPY* | NOTICE* | UNLICENSE*)
            [ ! -f "$file" ] || keep "$package" "$file"
            ;;
        esac
    done
done <"$out/packages"
for file in LICENSE-*; do
    keep "this workspace" "$file"
done
# What is linked besides packages: Rust's standard library, and the C library.
for file in "$(rustc --print sysroot)"/share/doc/rust/COPYRIGHT-library.html /usr/share/doc/libc6/copyright; do
    [ ! -e "$file" ] || keep "Rust or glibc" "$file"
done

for list in "$texts"/*.packages; do
    echo "==== $(sort -u "$list" | paste -sd, - | sed 's/,/, /g')"
    echo
    cat "${list%.packages}"
    echo
done >"$out/texts"
