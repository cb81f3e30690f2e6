# The Rust service: docker build --file docker/axum.Dockerfile .
#
# The bases are pinned by tag. Where a registry can be asked, pin the digests: --build-arg RUST_IMAGE=rust@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG RUST_IMAGE=rust:1.95-slim-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

# The same steps as in onnx.Dockerfile (and so made only once): both services run the same ONNX Runtime.
FROM ${PYTHON_IMAGE} AS dependencies
RUN apt-get update && apt-get install --yes --no-install-recommends binutils
COPY docker/install.py requirements/serving-onnx.lock /build/
RUN ["python", "/build/install.py", "/build/serving-onnx.lock", "/opt/venv"]

FROM ${RUST_IMAGE} AS build
WORKDIR /src/axum
COPY serving/axum/Cargo.toml serving/axum/Cargo.lock serving/axum/build.rs ./
COPY serving/axum/proto proto
# The dependencies in a layer of their own: a change of the service compiles the service.
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs && cargo build --release --locked
COPY serving/docs ../docs
COPY serving/axum/src src
RUN touch src/lib.rs src/main.rs && cargo build --release --locked

FROM ${DEBIAN_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app
ENV HOME=/tmp ORT_DYLIB_PATH=/usr/local/lib/libonnxruntime.so SERVE_HOST=0.0.0.0 SERVE_PORT=3000
EXPOSE 3000
# gRPC, with --env SERVE_GRPC_PORT=8081
EXPOSE 8081
HEALTHCHECK --interval=3s --timeout=3s --start-period=30s --retries=3 CMD ["bash", "-c", \
  "exec 3<>/dev/tcp/127.0.0.1/$SERVE_PORT && printf 'GET /health/ready HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["axum-service"]
LABEL org.opencontainers.image.title="train-to-serve: axum service" \
      org.opencontainers.image.description="Serves a model bundle over HTTP: its graph in ONNX Runtime, behind axum" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
# where a volume for the record belongs to the service's user
RUN install --directory --owner=10001 --group=10001 --mode=750 record
COPY --from=dependencies /opt/venv/lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.* $ORT_DYLIB_PATH
COPY --from=build /src/axum/target/release/axum-service /usr/local/bin/
USER 10001:10001
