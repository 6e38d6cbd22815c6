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

# From PyPI, in an environment of its own: for tests/api, tests/deploy, tests/feed, tests/languages and tests/system.
install_from_pypi() {
    local python=${CARGO_TARGET_DIR:-target}/tools/python
    ! cat tests/{api,deploy,feed,languages,system}/requirements.txt | cmp -s - "$python/requirements.txt" || return 0
    if /usr/bin/env python3 -m venv --clear "$python"; then
        say "installing schemathesis, REDbot, the checkers of the deployment, Caddy, Litestream, and clients of PostgreSQL and of Durable Streams"
        "$python/bin/pip" install --quiet --disable-pip-version-check -r tests/api/requirements.txt \
            -r tests/deploy/requirements.txt -r tests/feed/requirements.txt -r tests/languages/requirements.txt \
            -r tests/system/requirements.txt
        cat tests/{api,deploy,feed,languages,system}/requirements.txt >"$python/requirements.txt"
    elif [ -z "${TEST_WITHOUT_PROGRAMS:-}" ]; then
        exit 1
    fi
}

# Patroni, with Debian's Python: it runs as another user, who may not read a Python in root's home.
install_patroni() {
    local patroni=${CARGO_TARGET_DIR:-target}/tools/patroni
    ! cmp -s tests/faults/requirements.txt "$patroni/installed" || return 0
    say "installing Patroni"
    /usr/bin/python3 -m venv --clear "$patroni"
    "$patroni/bin/pip" install --quiet --disable-pip-version-check -r tests/faults/requirements.txt
    cp tests/faults/requirements.txt "$patroni/installed"
}

# cargo-mutants, and nextest, which stops at the first test that fails: both are built here.
install_mutants() {
    local tools=${CARGO_TARGET_DIR:-target}/tools/mutants
    [ ! -x "$tools/bin/cargo-nextest" ] || return 0
    say "installing cargo-mutants and cargo-nextest"
    cargo install --quiet --locked --root "$tools" cargo-mutants@27.1.0 cargo-nextest@0.9.151
}

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

# The programs of examples/java and the driver that their README names, to target/tools.
compile_java() {
    local tools=${CARGO_TARGET_DIR:-target}/tools/java sum
    if ! [ "$(javac -version 2>/dev/null | sed 's/^javac \([0-9]*\).*/\1/')" -ge 17 ] 2>/dev/null; then
        export TEST_WITHOUT_JAVA="there is no JDK 17 or newer here, and tests/run installs none"
    elif ! fetch_jdbc "$tools"; then
        export TEST_WITHOUT_JAVA="tests/run could not fetch the driver with mvn"
    fi
    if [ -n "${TEST_WITHOUT_JAVA:-}" ]; then
        say "THE EXAMPLES IN JAVA ARE NOT RUN: $TEST_WITHOUT_JAVA"
        return
    fi
    if ! jdbc_is_here "$tools"; then
        echo "the driver that examples/java/README.md names is not the one that was pinned in tests/programs.sh" >&2
        return 1
    fi
    sum=$(cat examples/java/*.java | sha256sum)
    [ "$(cat "$tools/installed" 2>/dev/null)" != "$sum" ] || return 0
    say "compiling examples/java"
    javac --release 17 -Xlint:all -Werror -d "$tools" examples/java/*.java
    echo "$sum" >"$tools/installed"
}

jdbc_sum=73914527305a40cce504b0d3d90b23caf565136912d607ae8ae7c5895512332c

jdbc_is_here() { echo "$jdbc_sum  $1/postgresql.jar" | sha256sum --check --status 2>/dev/null; }

fetch_jdbc() {
    local artifact
    ! jdbc_is_here "$1" || return 0
    artifact=$(grep -o 'org.postgresql:postgresql:[0-9.]*' examples/java/README.md)
    say "fetching $artifact"
    rm -f "$1/installed" "$1/postgresql.jar"
    command -v mvn >/dev/null && mvn --quiet --batch-mode dependency:copy -Dartifact="$artifact" \
        -Dmdep.stripVersion -DoutputDirectory="$1"
}

# Debian 12 has none that is new enough.
look_for_kubectl() {
    command -v kubectl >/dev/null && return
    export TEST_WITHOUT_KUBECTL="there is no kubectl here, and tests/run installs none"
    say "WHAT KUBERNETES IS TOLD IS NOT CHECKED: $TEST_WITHOUT_KUBECTL"
}
