# The load test: docker build --file docker/bench.Dockerfile .
#
# The base is pinned by tag. Where a registry can be asked, pin the digest: --build-arg PYTHON_IMAGE=python@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS dependencies
RUN apt-get update && apt-get install --yes --no-install-recommends binutils
COPY docker/install.py requirements/load-testing.lock /build/
RUN ["python", "/build/install.py", "/build/load-testing.lock", "/opt/venv"]

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app \
 && cd /usr/local && rm -rf bin/pip* lib/python3*/ensurepip lib/python3*/site-packages/*
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["python", "as_owner.py", "load_testing", "container-bench"]
LABEL org.opencontainers.image.title="train-to-serve: load test" \
      org.opencontainers.image.description="Loads running services with Locust and compares every answer with the reference" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
RUN ["install", "--directory", "--owner=10001", "--group=10001", "models", "reports"]
COPY --from=dependencies /opt/venv /opt/venv
COPY docker/as_owner.py ./
COPY bundle/*.py bundle/
COPY load_testing/ load_testing/
# Bytecode of what a start imports, and of nothing else: at run time the file system is read-only.
RUN ["env", "--unset=PYTHONDONTWRITEBYTECODE", "python", "-c", "import load_testing.container_bench, load_testing.locustfile, locust.main"]
USER 10001:10001
