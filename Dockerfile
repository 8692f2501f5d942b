# upgrade-gate in an image of Debian with the libraries it needs and nothing to build with.
#   docker build -t REGISTRY/upgrade-gate:0.1.0 .        (or buildah, podman, kaniko)
# BASE may be any Debian 12 root; pin it by digest for releases. For another release give RUNTIME_PACKAGES as well.
ARG BASE=docker.io/library/debian:12-slim

FROM ${BASE} AS build
# Before the sources come in: this layer is reused while they change.
COPY build-support/install-packages.sh /src/build-support/
RUN /src/build-support/install-packages.sh build && rm -rf /var/lib/apt/lists/*
COPY . /src
WORKDIR /src
ARG REVISION=unknown
# --strip: the debug information stays in the build; the image ships code only.
RUN --mount=type=cache,target=/root/.cache/ccache \
    cmake --preset release -DGATE_REVISION="${REVISION}" && cmake --build --preset release --target upgrade-gate \
    && DESTDIR=/out cmake --install build/release --prefix /usr --strip
# For the SBOM: what was compiled into the program leaves no package behind in the image.
RUN mkdir -p /out/usr/share/doc/upgrade-gate && dpkg-query --show \
    --showformat='Package: ${Package}\nVersion: ${Version}\nArchitecture: ${Architecture}\nSource: ${source:Package}\n\n' \
    nlohmann-json3-dev libcli11-dev libspdlog-dev libyaml-cpp-dev >/out/usr/share/doc/upgrade-gate/built-with

FROM ${BASE}
ARG RUNTIME_PACKAGES="ca-certificates libssl3 libmariadb3 libfmt9 libprometheus-cpp-core1.0 libsimdjson14 libcpp-httplib0.11"
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ${RUNTIME_PACKAGES} \
    && apt-get clean && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/*
COPY --from=build /out/usr/bin/upgrade-gate /usr/bin/upgrade-gate
COPY --from=build /out/usr/share/doc/upgrade-gate/built-with /usr/share/doc/upgrade-gate/built-with
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="upgrade-gate" \
      org.opencontainers.image.description="Admission webhook that prepares StarRocks clusters before it admits an image change" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A number, not a name: Kubernetes can check runAsNonRoot only for numbers.
USER 65532:65532
EXPOSE 9443 8080
# No HEALTHCHECK: Kubernetes probes /livez and /readyz on port 8080.
ENTRYPOINT ["/usr/bin/upgrade-gate"]
CMD ["serve"]
