# The dashboard without PyTorch, its network baked in; docs/deployment.md explains. tests/test_serving_install.py does the same steps.
FROM python:3.11-slim-bookworm AS install
WORKDIR /install
COPY requirements-serve.lock .
RUN python -m venv /venv && /venv/bin/python -m pip install --no-cache-dir --require-hashes -r requirements-serve.lock

FROM python:3.11-slim-bookworm
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
# A fresh named volume takes the owner of the folder that it covers.
ENV GARMENTS_FEEDBACK=/data/feedback.sqlite3
# Strangers' files are read only where the kernel confines the processes that read them.
ENV GARMENTS_CONFINEMENT=required
# The dashboard asks nothing of the internet; what a library of its might ask ends here.
ENV http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 no_proxy=localhost,127.0.0.1
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin garments && install --directory --owner=garments /data
COPY --from=install /venv /venv
WORKDIR /app
COPY .streamlit .streamlit
COPY static static
COPY core core
COPY pages pages
COPY deploy deploy
COPY artifacts artifacts
COPY Home.py .
RUN python -m compileall -q core pages Home.py
USER 10001
RUN python -m deploy.smoke
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["python", "-m", "streamlit", "run", "Home.py", "--server.address", "0.0.0.0"]
