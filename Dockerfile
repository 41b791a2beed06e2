# SPDX-License-Identifier: Apache-2.0
# Tirta's image: the locked packages, the wheel of this checkout, nothing that builds.

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
RUN python -m venv /opt/tirta \
    && /opt/tirta/bin/pip install --require-hashes -r requirements.lock
# The build's own tool is locked too: one entry of the developers' lock, with its hashes.
RUN awk '/^setuptools==/ { found = 1 } found { print } found && !/\\$/ { exit }' requirements-dev.lock > build.lock \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes -r build.lock
COPY pyproject.toml README.md LICENSE ./
COPY api api
COPY control control
COPY gateway gateway
COPY ingest ingest
COPY rules rules
COPY simulators simulators
COPY tirta tirta
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/tirta/bin/pip install --no-deps dist/*.whl

FROM python:3.11-slim
# The number is that of the account mosquitto's image uses: what one writes the other reads, and Tirta may signal it.
RUN groupadd --gid 1883 tirta \
    && useradd --uid 1883 --gid 1883 --no-create-home --home-dir /data --shell /usr/sbin/nologin tirta \
    && install -d -o tirta -g tirta -m 0700 /data /broker /ready /state
COPY --from=build /opt/tirta /opt/tirta
ENV PATH=/opt/tirta/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TIRTA_DATA=/data
USER 1883:1883
WORKDIR /data
EXPOSE 8080 8443
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import http.client; c = http.client.HTTPConnection('127.0.0.1', 8080, timeout=5); c.request('GET', '/readyz'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["tirta", "up"]
