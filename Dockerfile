# The guard, or any other command of agent-guard. Not run yet: see the README.
FROM python:3.12-slim-bookworm

RUN apt-get update && apt-get install -y --no-install-recommends bubblewrap util-linux && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/agent-guard
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY agent_guard ./agent_guard
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

WORKDIR /srv
ENTRYPOINT ["agent-guard"]
