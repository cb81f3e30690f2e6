#!/bin/sh
# Build the images IMAGE..., such as onnx, as train-to-serve/onnx.
set -eu
cd "$(dirname "$0")/.."
revision=$(git rev-parse HEAD 2>/dev/null || true)
for image; do
  docker build --quiet --file "docker/$image.Dockerfile" --tag "train-to-serve/$image" \
    --label "org.opencontainers.image.revision=$revision" . >/dev/null
done
