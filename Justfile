# `just --list` shows these. cargo alone is enough to build, run and test.

target := env("CARGO_TARGET_DIR", "target")

# the program, static, for this machine
build:
    cargo build --release

# all tests that run here
test *ARGS:
    cargo test {{ARGS}}

# target/dist/: the static musl file of both architectures, with checksums
dist:
    tests/bench/dist

# target/dist/mydocker-tiny: the smallest file that nightly makes
tiny:
    tests/bench/tiny

# fails when a file is larger than the ledger allows
size: dist tiny
    tests/bench/size

# mydocker beside the floor, unshare, bwrap, runc and crun: a table of ratios (-h: options)
bench *ARGS:
    cargo bench --bench ratios -- {{ARGS}}

# mydocker beside docker, podman, systemd-nspawn and others, as root: what they need, their time and memory (README's table)
peers *ROUNDS:
    tests/bench/peers {{ROUNDS}}

# where the time of one run goes
profile *ARGS:
    cargo bench --bench ratios -- --profile {{ARGS}}

# the tests on virtual hosts: every cgroup layout, and aarch64
vm *HOSTS:
    tests/vm/install
    tests/vm/run {{HOSTS}}

# mydocker under xargs, parallel, systemd and Slurm: the commands of tests/manual/machines.md, as root
machines *CHAPTERS:
    tests/machines/install
    tests/machines/run {{CHAPTERS}}

# the JVM, Node, PostgreSQL, nginx, dig, curl, apt, vim and others under mydocker, as root: the table of tests/programs/README.md
programs *PROGRAMS:
    tests/programs/install
    tests/programs/run {{PROGRAMS}}

# tests/casts/: the two recordings of a terminal, and their last screens
casts:
    tests/casts/record

# load and chaos for as long as one says, in seconds; then what the gate has no time for: a thousand runs beside each neighbour that
# exchanges directories, 1 GB and 10,000 connections through the relay, and 200 processes of a container on a bridge killed
soak SECONDS="600":
    MYDOCKER_SOAK_SECONDS={{SECONDS}} cargo test --release --test load
    RACES=1000 cargo test --test outside -- races
    MYDOCKER_RELAY_BYTES=1000000000 MYDOCKER_RELAY_CONNECTIONS=10000 cargo test --test outside -- network_relay
    MYDOCKER_KILLED=200 cargo test --test outside -- whoever_is_killed

# random input for every parser and printer, for as long as one says, in seconds
fuzz SECONDS="60" *TARGETS:
    cargo test --profile fuzz --test fuzz -- {{SECONDS}} {{TARGETS}}

# format and clippy, warnings as errors
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo clippy --test '*' -- -D warnings
    cargo clippy --all-targets --target x86_64-unknown-linux-musl -- -D warnings
    cargo clippy --all-targets --target aarch64-unknown-linux-musl -- -D warnings

# everything that CI does
ci:
    bash .ci/run

# target/dist/: the man pages, and the completions for bash, zsh and fish
manual:
    cargo run --quiet --example manual -- {{target}}/dist

# target/lesson.html: the lesson, for the printer; with --questions, target/lesson-questions.html, without the answers
lesson *ARGS:
    tests/manual/print {{ARGS}}

# PREFIX/bin/mydocker, its man pages and its completions
install PREFIX="/usr/local":
    tests/packages/install {{PREFIX}}

# target/dist/: Debian packages for amd64 and arm64
deb: dist
    tests/packages/deb

# the packages, checked with lintian and installed in a Debian root; and that of cargo
packages: dist
    tests/packages/check
