# syntax=docker/dockerfile:1
# Two images of one build: `--target conductor`, the worker, and `--target sandbox`, the stand-in cloud.
# Not built where it was written: there was no Docker engine.

FROM rust:1.95-bookworm AS build
# The image has the release that rust-toolchain.toml asks for, without the components that only development needs.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --workspace --bins && \
    install -D -t /out target/release/mesos-conductor target/release/mesos-conductor-sandbox

FROM debian:bookworm-slim AS base
# Both binaries link the C library only; the certificates are for TLS to the broker and the cloud.
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --system --create-home --home-dir /var/lib/mesos-conductor conductor
USER conductor
WORKDIR /var/lib/mesos-conductor

FROM base AS sandbox
COPY --from=build /out/mesos-conductor-sandbox /usr/local/bin/
ENTRYPOINT ["mesos-conductor-sandbox"]
CMD ["serve", "--listen", "127.0.0.1:5000"]

FROM base AS conductor
COPY --from=build /out/mesos-conductor /usr/local/bin/
EXPOSE 9517
ENTRYPOINT ["mesos-conductor"]
CMD ["serve"]
