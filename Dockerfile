# One image for every process; the command names the process: docker build -t swallowtail . && docker run swallowtail
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir 'uv>=0.11,<1' && \
    uv venv /opt/swallowtail && \
    # Compiled here: the image's user cannot write there, and every start would compile it again.
    uv pip install --compile-bytecode --python /opt/swallowtail/bin/python '.[server,campaign,postgres,openai]'

FROM python:3.13-slim-bookworm
RUN useradd --uid 10001 --create-home --home-dir /srv/swallowtail swallowtail
COPY --from=build /opt/swallowtail /opt/swallowtail
ENV PATH="/opt/swallowtail/bin:$PATH" PYTHONUNBUFFERED=1 SWALLOWTAIL_HOST=0.0.0.0 SWALLOWTAIL_PORT=8000
# By number: Kubernetes compares it with `runAsNonRoot`.
USER 10001:10001
WORKDIR /srv/swallowtail
EXPOSE 8000
# Of the web process; the other processes have no port.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['SWALLOWTAIL_PORT'] + '/readyz', timeout=4)"]
CMD ["swallowtail", "web"]
