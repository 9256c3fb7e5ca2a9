# The package and the book's stack, for amd64 and arm64, as a user without rights.
#   docker build -t d2l-autorec .
#   docker run --rm -v autorec:/data d2l-autorec                  (the chapter's run)
#   docker run --rm -v autorec:/data d2l-autorec train --save     (any other command)
#   docker run --rm -v autorec:/data -p 127.0.0.1:8000:8000 d2l-autorec \
#       serve --host 0.0.0.0 --model runs/mine                    (answers at 127.0.0.1:8000/docs)
# /data keeps MovieLens, what runs leave and their models. Your own files: put them there, or -v.
FROM python:3.13-slim

COPY . /opt/d2l_autorec
RUN python -m pip install --no-cache-dir --quiet --root-user-action ignore \
        -c /opt/d2l_autorec/requirements.lock "/opt/d2l_autorec[onnx,serve]" \
    && d2l-autorec install-mxnet

RUN useradd --create-home --uid 1000 someone \
    && install --directory --owner someone --group someone /data
ENV D2L_AUTOREC_DATA=/data/cache
USER someone
WORKDIR /data
VOLUME ["/data"]

ENTRYPOINT ["d2l-autorec"]
CMD ["reproduce"]
