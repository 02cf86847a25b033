# MiniStack from its wheel, with the interpreter of the functions: it runs them in processes of its own.
FROM sluice-test/debian:trixie
COPY wheels/ministack /opt/ministack
RUN ln -s /usr/bin/python3.13 /usr/local/bin/python
ENV PYTHONPATH=/opt/ministack PYTHONUNBUFFERED=1 LAMBDA_EXECUTOR=local IOT_MTLS_ENABLED=0 LANG=C.UTF-8
ENV AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
EXPOSE 4566
ENTRYPOINT ["python", "-m", "ministack"]
