# Programs that the tests need, besides PostgreSQL: sourced after tests/postgres.sh.
# shellcheck shell=bash

# Installs those of these packages that are missing, on Debian. Elsewhere the tests without their
# programs are skipped.
install_programs() {
    local package missing=()
    if ! command -v apt-get >/dev/null; then
        say "no Debian here: where one of $* is missing, its tests are skipped"
        export TEST_WITHOUT_PROGRAMS="tests/run installs it on Debian only"
        return
    fi
    for package in "$@"; do
        dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
            missing+=("$package")
    done
    [ ${#missing[@]} != 0 ] || return 0
    say "installing ${missing[*]}"
    install_quietly "${missing[@]}"
}

axe_version=4.14.1
axe_sum=29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c

# axe-core, which finds accessibility barriers on pages: one script from its package on npm, to
# target/tools. It runs in the browser alone.
fetch_axe() {
    axe_is_here && return
    say "fetching axe-core $axe_version"
    mkdir -p target/tools
    if (cd target/tools && npm pack --silent "axe-core@$axe_version" >/dev/null &&
        tar -xzf "axe-core-$axe_version.tgz" --strip-components=1 package/axe.min.js); then
        axe_is_here && return
        rm -f target/tools/axe.min.js
        echo "axe-core $axe_version is not the one that was pinned in tests/programs.sh" >&2
        return 1
    fi
    export TEST_WITHOUT_AXE="tests/run could not fetch axe-core $axe_version with npm"
    say "PAGES ARE NOT CHECKED FOR BARRIERS: $TEST_WITHOUT_AXE"
}

axe_is_here() { echo "$axe_sum  target/tools/axe.min.js" | sha256sum --check --status 2>/dev/null; }

# Packages from npm, to target/tools/$1: those of the lock file in the directory $2. $3 is what is left out without them.
install_from_npm() {
    local tools=${CARGO_TARGET_DIR:-target}/tools/$1 without=TEST_WITHOUT_${1^^}
    cmp -s "$2/package-lock.json" "$tools/installed" && return
    if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
        export "$without=there is no Node.js with npm here, and tests/run installs none"
        say "$3: ${!without}"
        return
    fi
    say "installing the packages of $2"
    mkdir -p "$tools"
    cp "$2/package.json" "$2/package-lock.json" "$tools"
    (cd "$tools" && npm ci --silent --ignore-scripts --no-audit --no-fund)
    cp "$2/package-lock.json" "$tools/installed"
}

# The programs of examples/go, to target/tools.
compile_go() {
    local tools=${CARGO_TARGET_DIR:-$PWD/target}/tools/go sum
    sum=$(cat examples/go/go.sum examples/go/*/main.go | sha256sum)
    [ "$(cat "$tools/installed" 2>/dev/null)" != "$sum" ] || return 0
    if ! command -v go >/dev/null; then
        export TEST_WITHOUT_GO="there is no Go here, and tests/run installs none"
        say "THE EXAMPLES IN GO ARE NOT RUN: $TEST_WITHOUT_GO"
        return
    fi
    say "compiling examples/go"
    mkdir -p "$tools"
    (cd examples/go && go build -o "$tools/" ./publisher ./consumer)
    echo "$sum" >"$tools/installed"
}

# Debian 12 has none that is new enough.
look_for_kubectl() {
    command -v kubectl >/dev/null && return
    export TEST_WITHOUT_KUBECTL="there is no kubectl here, and tests/run installs none"
    say "WHAT KUBERNETES IS TOLD IS NOT CHECKED: $TEST_WITHOUT_KUBECTL"
}
