# One image with the three services; the command chooses which. What was compiled stays in BuildKit's
# cache mounts, the dependencies too: a changed line compiles the workspace's own crates alone.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Linked statically, so that nothing has to lie beside them; to glibc, whose allocator is made for threads,
# unlike that of musl. With --target, what runs while compiling is linked as ever.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    target=$(rustc --print host-tuple) \
    && RUSTFLAGS="-C target-feature=+crt-static" CARGO_PROFILE_RELEASE_STRIP=symbols \
        cargo build --release --locked --target "$target" --package order --package invoice --package shipping \
    && install -D -t /out "target/$target/release/order" "target/$target/release/invoice" "target/$target/release/shipping"

# Certificates, and a user who may nothing.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/ /usr/local/bin/
ENV PATH=/usr/local/bin
USER 65532:65532
EXPOSE 8080
CMD ["order"]
