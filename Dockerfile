# The nightly pipeline in a container: one volume holds one environment (settings, landing files, warehouse, history).
#   docker build -t retention .
#   docker run --rm -v retention:/home/retention/data retention init /home/retention/data
#   docker run --rm -v retention:/home/retention/data retention run
#   docker run --rm -v retention:/home/retention/data -p 127.0.0.1:3000:3000 retention ui --host 0.0.0.0
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 retention
WORKDIR /app

# Packages first: they change less often than the code, so a rebuild after a code change takes seconds.
COPY pyproject.toml constraints.txt README.md ./
COPY retention_pipeline/__init__.py retention_pipeline/__init__.py
RUN pip install --no-cache-dir -c constraints.txt -e .

COPY . .
# The user may not write to /app: compile and parse the dbt project now, once, instead of in every run.
RUN python -m compileall -q retention_pipeline \
    && python -c "from retention_pipeline.transform.manifest import parsed_project; parsed_project()" \
    && mkdir -p /home/retention/data && chown retention:retention /home/retention/data

USER retention
ENV RETENTION_HOME=/home/retention/data PYTHONUNBUFFERED=1
VOLUME /home/retention/data
ENTRYPOINT ["retention"]
CMD ["run"]
