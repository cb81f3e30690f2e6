# The pickle service: docker build --file docker/pickle.Dockerfile .
#
# The base is pinned by tag. Where a registry can be asked, pin the digest: --build-arg PYTHON_IMAGE=python@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS dependencies
RUN apt-get update && apt-get install --yes --no-install-recommends binutils
COPY docker/install.py requirements/serving-pickle.lock /build/
RUN ["python", "/build/install.py", "/build/serving-pickle.lock", "/opt/venv"]

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app \
 && cd /usr/local && rm -rf bin/pip* lib/python3*/ensurepip lib/python3*/site-packages/*
# A worker per CPU of the quota, and a thread per worker: the libraries would go by the CPUs of the host.
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    SERVE_HOST=0.0.0.0 SERVE_PORT=8000 \
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 POLARS_MAX_THREADS=1
EXPOSE 8000
HEALTHCHECK --interval=3s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-IS", "healthcheck.py"]
ENTRYPOINT ["python", "-m", "serving.pickle_service"]
LABEL org.opencontainers.image.title="train-to-serve: pickle service" \
      org.opencontainers.image.description="Serves a model bundle over HTTP: its scikit-learn pipeline" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
# where a volume for the record belongs to the service's user
RUN install --directory --owner=10001 --group=10001 --mode=750 record
COPY --from=dependencies /opt/venv /opt/venv
COPY docker/healthcheck.py ./
COPY bundle/*.py bundle/
COPY serving/docs/ serving/docs/
COPY serving/inference/ serving/inference/
COPY serving/process/ serving/process/
COPY serving/record/ serving/record/
COPY serving/*.py serving/
# Bytecode of what a start imports, and of nothing else: at run time the file system is read-only.
# (The second line is what scikit-learn imports for a polars frame, the third what the pickle imports.
# One that wants something else only starts more slowly.)
RUN ["env", "--unset=PYTHONDONTWRITEBYTECODE", "python", "-c", "import \
        serving.pickle_service, serving.polars_frames, \
        narwhals._interchange.dataframe, narwhals._polars.dataframe, narwhals._polars.namespace, narwhals.stable.v2._namespace, \
        sklearn.compose, sklearn.frozen, sklearn.model_selection, sklearn.pipeline, sklearn.preprocessing, xgboost.sklearn, \
        multiprocessing.resource_tracker, multiprocessing.spawn, pydantic.v1, uvicorn.lifespan.on, uvicorn.loops.uvloop, \
        uvicorn.protocols.http.httptools_impl, uvicorn.supervisors"]
USER 10001:10001
