# syntax=docker/dockerfile:1.7
# The image of the service, the workers and the command line.
#
#   docker build --target cpu  --tag lookalike:0.1.0-cpu .
#   docker build --target cuda --tag lookalike:0.1.0-cuda .
#
# Both contain the same files: the registry's torch is the CUDA build, which also runs without a GPU, and a CPU build of
# torch does not fit the registry's torchvision. They differ only in the device that they require, and share all other
# layers.

ARG PYTHON=python:3.11.15-slim-trixie

FROM ${PYTHON} AS build
ARG EXTRAS=s3
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/lookalike
ENV PATH=/opt/lookalike/bin:$PATH
# dependencies first: 6 GB in a layer that changes of our own files do not invalidate
COPY deploy/requirements.py pyproject.toml ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python requirements.py pyproject.toml "${EXTRAS}" > requirements.txt \
    && pip install --requirement requirements.txt
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps . && pip check

FROM ${PYTHON} AS runtime
# torch compiles networks for GPUs with it; without it lookalike says so and is slower
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
# the user of the container: set UID to the owner of your images if only the owner may read them
ARG UID=10001
RUN groupadd --gid "${UID}" lookalike \
    && useradd --uid "${UID}" --gid "${UID}" --no-log-init --no-create-home --home-dir /data --shell /usr/sbin/nologin lookalike \
    && install --directory --owner lookalike --group lookalike --mode 0750 /data
COPY --from=build /opt/lookalike /opt/lookalike
ENV PATH=/opt/lookalike/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HOME=/data/hub \
    LOOKALIKE_DATA=/data
WORKDIR /data
USER ${UID}:${UID}
EXPOSE 8000
ENTRYPOINT ["lookalike"]
CMD ["--help"]

# exits with an error where no GPU works, instead of being slow
FROM runtime AS cuda
ENV LOOKALIKE_DEVICE=cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM runtime AS cpu
ENV LOOKALIKE_DEVICE=cpu
