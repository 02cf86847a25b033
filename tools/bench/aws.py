"""The AWS that a function meets in the benchmark: secrets, a key, and a queue that accepts whatever it is told."""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

DATA_KEY = b64encode(bytes(range(32))).decode()
WRAPPED_DATA_KEY = b64encode(bytes(184)).decode()  # as long as KMS makes it for a key of 32 bytes


@contextmanager
def serving(secrets: Mapping[str, str]) -> Iterator[str]:
    """Answer Secrets Manager, KMS and SQS on a free port of 127.0.0.1; yields the endpoint."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(answer(self.headers["X-Amz-Target"], request, secrets)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def answer(target: str, request: Mapping[str, object], secrets: Mapping[str, str]) -> dict[str, object]:
    match target:
        case "secretsmanager.GetSecretValue":
            return {"SecretString": secrets[str(request["SecretId"])]}
        case "TrentService.GenerateDataKey":
            return {"KeyId": request["KeyId"], "CiphertextBlob": WRAPPED_DATA_KEY, "Plaintext": DATA_KEY}
        case "AmazonSQS.GetQueueUrl":
            return {"QueueUrl": f"http://127.0.0.1/{request['QueueName']}"}
        case _:
            return {"Successful": [], "Failed": []}
