# The image holds Node, the libraries that it loads, and SOAKP: no shell, no package manager, nothing to update but Node.
# To build the same image again, name the base by digest instead of by tag: node:24-bookworm-slim@sha256:…, as printed
# by `docker buildx imagetools inspect node:24-bookworm-slim`. Both amd64 and arm64 work.
ARG BASE_IMAGE=node:24-bookworm-slim

FROM ${BASE_IMAGE} AS manifests
WORKDIR /opt/soakp
COPY package.json package-lock.json .npmrc ./
COPY tools/node/package.json tools/node/

# npm's settings of a network of one's own (registry, certificate) come as a build secret, which no layer keeps.
FROM manifests AS build
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc,required=false npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build && find dist -name '*.d.ts' -delete

FROM manifests AS dependencies
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc,required=false \
  npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund
# SQLite's sources, its builds for other systems, other packages' tests, and what only compilers and editors read.
RUN set -eu; \
  cd node_modules; \
  mine="linux-$(node -p process.arch).node"; \
  test -f "better-sqlite3/prebuilds/$mine"; \
  find better-sqlite3/prebuilds -type f ! -name "$mine" -delete; \
  rm -rf better-sqlite3/deps better-sqlite3/src soakp-node .bin .package-lock.json */test @*/*/test; \
  find . -type f \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.map' -o -name 'tsconfig*.json' \) -delete

FROM ${BASE_IMAGE} AS system
RUN set -eu; \
  mkdir -p /system/etc /system/tmp /volumes/soakp; \
  chmod 1777 /system/tmp; \
  chmod 700 /volumes/soakp; \
  for file in /usr/local/bin/node $(ldd /usr/local/bin/node | grep -o '/[^ ]*'); do cp -L --parents "$file" /system; done; \
  ln -s /opt/soakp/bin/soakp.js /system/usr/local/bin/soakp; \
  echo 'soakp:x:65532:65532:SOAKP:/var/lib/soakp:/nonexistent' > /system/etc/passwd; \
  echo 'soakp:x:65532:' > /system/etc/group; \
  echo 'hosts: files dns' > /system/etc/nsswitch.conf

# SOAKP as it is laid out in the image. The command starts Node by its path, because there is no `env` to find it.
FROM system AS application
WORKDIR /opt/soakp
COPY package.json LICENSE ./
COPY bin bin
RUN sed -i '1s|.*|#!/usr/local/bin/node|' bin/soakp.js && chmod 755 bin/soakp.js
COPY --from=dependencies /opt/soakp/node_modules node_modules
COPY --from=build /opt/soakp/dist dist

FROM scratch
COPY --from=system /system/ /
COPY --from=system --chown=65532:65532 /volumes/ /var/lib/
COPY --from=application /opt/soakp /opt/soakp
WORKDIR /opt
ENV PATH=/usr/local/bin \
  NODE_ENV=production \
  SOAKP_HOST=0.0.0.0 \
  SOAKP_DATA_DIR=/var/lib/soakp
USER 65532:65532
VOLUME /var/lib/soakp
EXPOSE 3033
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["node", "/opt/soakp/bin/health.js"]
ENTRYPOINT ["soakp"]
CMD ["serve"]
ARG VERSION=unversioned
ARG REVISION=unknown
LABEL org.opencontainers.image.title="SOAKP" \
  org.opencontainers.image.description="Secure OpenAI Key Proxy: keeps your OpenAI key on the server and gives your apps revocable tokens" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
