# An image with the command line. libtorch comes from pip's index: a CUDA build by default, which also runs on the CPU.
#
#   docker build -t deep-incubation .
#   docker build -t deep-incubation --build-arg PIP_INDEX_URL=INDEX_OF_CPU_BUILDS .     CPU only, 3 GB smaller
#   docker run --rm --gpus all -v "$PWD:/work" deep-incubation run recipe.yaml

FROM node:22-bookworm-slim AS build
# Debian's archive keeps only the newest version of a package, so a pinned version would stop building.
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates g++ python3 python3-pip \
  && rm -rf /var/lib/apt/lists/*
ARG PIP_INDEX_URL
ENV DEEP_INCUBATION_CACHE=/opt/cache
WORKDIR /opt/deep-incubation
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN node scripts/setup.mjs --only libtorch,addon,build \
  && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:22-bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates libgomp1 \
  && rm -rf /var/lib/apt/lists/* \
  && ln -s /opt/deep-incubation/dist/cli/main.js /usr/local/bin/deep-incubation
COPY --from=build /opt/cache /opt/cache
COPY --from=build /opt/deep-incubation /opt/deep-incubation
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000
ENV DEEP_INCUBATION_CACHE=/home/node/.cache/deep-incubation
WORKDIR /work
ENTRYPOINT ["deep-incubation"]
CMD ["--help"]
