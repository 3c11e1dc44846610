# Two images: `chain` (a local Anvil) and `guard` (agent-guard, any command). Not run yet: see the README.
FROM node:20-bookworm-slim AS chain

WORKDIR /opt/chain
COPY package.json package-lock.json .npmrc ./
COPY scripts/nothing scripts/nothing
RUN npm install --no-save --ignore-scripts
ENV PATH=/opt/chain/node_modules/.bin:$PATH
CMD ["anvil", "--host", "0.0.0.0", "--block-time", "1", "--mixed-mining"]


FROM python:3.12-slim-bookworm AS guard

RUN apt-get update && apt-get install -y --no-install-recommends bubblewrap util-linux && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/agent-guard
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY agent_guard ./agent_guard
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

WORKDIR /srv
ENTRYPOINT ["agent-guard"]
