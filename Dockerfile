# One image for every part of Backcast: Airflow's processes, migrations and the simulator.
# Packages are pinned by hash in requirements-image.txt. To pin the base, too: --build-arg PYTHON_IMAGE=python@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_NO_CACHE=1 UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy
WORKDIR /build
COPY requirements-bootstrap.txt requirements-image.txt ./
# Bytecode beside the packages: the user of the image cannot write it, and each start would cost seconds more.
RUN python3 -m venv /opt/tools && \
    /opt/tools/bin/pip install --quiet --require-hashes -r requirements-bootstrap.txt && \
    python3 -m venv --without-pip /opt/venv && \
    /opt/tools/bin/uv pip install --quiet --python /opt/venv --require-hashes --compile-bytecode \
        -r requirements-image.txt
COPY pyproject.toml README.md LICENSE ./
COPY include include
RUN /opt/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /build/dist . && \
    /opt/tools/bin/uv pip install --quiet --python /opt/venv --no-deps --no-index --compile-bytecode dist/*.whl

FROM ${PYTHON_IMAGE}
RUN apt-get update -q && \
    apt-get install -y -q --no-install-recommends git openssh-client && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --uid 50000 --user-group --create-home --home-dir /home/backcast backcast && \
    install -d -o backcast -g backcast /var/lib/airflow /var/lib/airflow/logs /var/lib/backcast /var/lib/simulator /reports && \
    # A repository that is mounted there belongs to somebody else, whom git would not trust.
    git config --system --add safe.directory /repository
COPY --from=build /opt/venv /opt/venv
WORKDIR /opt/backcast
COPY docker docker
COPY plugins plugins
COPY include/workflows include/workflows
COPY dags dags
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    AIRFLOW_HOME=/var/lib/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/backcast/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/backcast/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=false \
    BACKCAST_HOME=/var/lib/backcast \
    BACKCAST_REPORTS=/reports \
    BACKCAST_WORKFLOWS=/opt/backcast/include/workflows
USER backcast
CMD ["backcast", "--help"]
