# Training: docker build --file docker/train.Dockerfile .
#
# The base is pinned by tag. Where a registry can be asked, pin the digest: --build-arg PYTHON_IMAGE=python@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS dependencies
RUN apt-get update && apt-get install --yes --no-install-recommends binutils
COPY docker/install.py requirements/training.lock /build/
RUN ["python", "/build/install.py", "/build/training.lock", "/opt/venv"]

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app \
 && cd /usr/local && rm -rf bin/pip* lib/python3*/ensurepip lib/python3*/site-packages/*
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=passive
ENTRYPOINT ["python", "as_owner.py", "training", "train"]
LABEL org.opencontainers.image.title="train-to-serve: training" \
      org.opencontainers.image.description="Tunes, fits, proves parity and publishes a model bundle" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
RUN ["install", "--directory", "--owner=10001", "--group=10001", "data", "data/adult", "models", "reports"]
COPY --from=dependencies /opt/venv /opt/venv
COPY docker/as_owner.py ./
COPY bundle/*.py bundle/
COPY training/ training/
COPY scale/ scale/
# Bytecode of what a start imports, and of nothing else: at run time the file system is read-only.
RUN ["env", "--unset=PYTHONDONTWRITEBYTECODE", "python", "-c", "import training.train"]
USER 10001:10001
