# What SAM asks of a Lambda image: a runtime at /var/runtime that asks for events and calls the handler.
FROM sluice-test/debian:trixie
COPY wheels/lambda /var/runtime
COPY bootstrap.sh /var/runtime/bootstrap
RUN chmod 755 /var/runtime/bootstrap
ENV LANG=en_US.UTF-8 TZ=:UTC LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime
WORKDIR /var/task
