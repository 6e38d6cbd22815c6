# One image with the three services; the command chooses which. What was compiled stays in BuildKit's
# cache mounts, the dependencies too: a changed line compiles the workspace's own crates alone.
#
# Another architecture, `docker build --platform linux/arm64 .`, is compiled for, and not emulated.
# hadolint ignore=DL3029
FROM --platform=$BUILDPLATFORM rust:1.95-bookworm AS build
ARG TARGETARCH
# hadolint ignore=DL3008
RUN case "$TARGETARCH" in amd64) cpu=x86_64 gcc=x86-64 ;; arm64) cpu=aarch64 gcc=aarch64 ;; *) exit 1 ;; esac \
    && echo "$cpu-unknown-linux-gnu" >/target \
    && if [ "$cpu" != "$(uname -m)" ]; then \
        rustup target add "$(cat /target)" \
        && apt-get update \
        && apt-get install --yes --no-install-recommends "gcc-$gcc-linux-gnu" "libc6-dev-$TARGETARCH-cross" \
        && rm -rf /var/lib/apt/lists/*; \
    fi
# Debian has each of them by this name, also where it is the machine's own.
ENV CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc
# A bill of materials in each program: `cargo audit bin`, Trivy, Grype and Syft read it.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    cargo install --locked --version 0.7.7 cargo-auditable
WORKDIR /src
COPY . .
# Linked statically, so that nothing has to lie beside them; to glibc, whose allocator is made for threads,
# unlike that of musl. With --target, what runs while compiling is linked as ever.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    target=$(cat /target) \
    && RUSTFLAGS="-C target-feature=+crt-static" CARGO_PROFILE_RELEASE_STRIP=symbols \
        cargo auditable build --release --locked --target "$target" \
            --package order --package invoice --package shipping \
    && install -D -t /out/bin "target/$target/release/order" "target/$target/release/invoice" \
        "target/$target/release/shipping" \
    && deploy/licences.sh /out/share/licenses/shop "$target"

# Certificates, and a user who may nothing.
FROM gcr.io/distroless/static-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="shop" \
    org.opencontainers.image.description="The services order, invoice and shipping" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0" \
    org.opencontainers.image.base.name="gcr.io/distroless/static-debian12:nonroot"
COPY --from=build /out/ /usr/local/
ENV PATH=/usr/local/bin
USER 65532:65532
EXPOSE 8080
CMD ["order"]
