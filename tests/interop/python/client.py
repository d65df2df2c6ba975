"""The cases of `cases.rs`, with grpcio.

    client.py DESCRIPTORS ADDRESS cases [NAME...]     every case, or these: a line for each, `ok NAME` or `failed NAME WHY`
    client.py DESCRIPTORS ADDRESS outcome KIND        how one call ends: a line `outcome CODE CAUSE DETAILS`

With INTEROP_CA, the name of a file, it speaks TLS and believes the certificates in it.

The kinds of an outcome are `unary`, `hang`, `large-head` and `stream`. The last prints `first` when a message has come.
"""

import itertools
import os
import queue
import sys

import grpc
from messages import CALL, CALL_CANCELED, CALL_STARTED, HANG, MESSAGES, METHODS, OPTIONS, PACKAGE, SERVICE, message

# A case that takes longer has failed.
LIMIT = 30
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608 100%\t\n"
BINARY = [b"\xab\xab\xab", b"\0\xff,", b""]
MIB = 1024 * 1024
NAMES = (f"py-{os.getpid()}-{number}" for number in itertools.count())


class Stub:
    """The methods of a service."""

    def __init__(self, channel):
        self._channel = channel

    def __getattr__(self, name):
        return self.method(SERVICE, name, *METHODS[name])

    def method(self, service, name, kind, request, response):
        return getattr(self._channel, kind)(
            f"/{service}/{name}",
            request_serializer=MESSAGES[request].SerializeToString,
            response_deserializer=MESSAGES[response].FromString,
        )


class Fed:
    """An iterator that is fed."""

    def __init__(self):
        self._queue = queue.Queue()

    def send(self, item):
        self._queue.put(item)

    def end(self):
        self._queue.put(None)

    def __iter__(self):
        return iter(self._queue.get, None)


def unary(request, response, **fields):
    return message("UnaryRequest", payload=bytes(request), response_size=response, **fields)


def output(request, sizes, **fields):
    responses = [{"size": size} for size in sizes]
    return message("OutputRequest", payload=bytes(request), responses=responses, **fields)


def same(got, wanted):
    if got != wanted:
        raise AssertionError(f"{str(got)[:300]} is not {str(wanted)[:300]}")


def fails(call):
    """The error with which a call ends; it must."""
    try:
        got = call()
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"the call ends well: {str(got)[:100]}")


def ends_with(call, code, details):
    error = fails(call)
    same((error.code().value[0], error.details()), (code, details))


def sizes(answers):
    return [len(answer.payload) for answer in answers]


def awaits(stub, name, state):
    stub.AwaitCall(message("AwaitCallRequest", call=name, state=state), timeout=LIMIT)


def empty_unary(stub):
    same(stub.EmptyCall(message("Empty"), timeout=LIMIT), message("Empty"))


def large_unary(stub):
    same(len(stub.UnaryCall(unary(271_828, 314_159), timeout=LIMIT).payload), 314_159)


def client_streaming(stub):
    messages = [message("InputRequest", payload=bytes(size)) for size in (27_182, 8, 1_828, 45_904)]
    same(stub.StreamingInputCall(iter(messages), timeout=LIMIT).size, 74_922)


def server_streaming(stub):
    wanted = [31_415, 9, 2_653, 58_979]
    same(sizes(stub.StreamingOutputCall(output(0, wanted), timeout=LIMIT)), wanted)


def ping_pong(stub):
    requests = Fed()
    answers = stub.FullDuplexCall(iter(requests), timeout=LIMIT)
    for request, response in [(27_182, 31_415), (8, 9), (1_828, 2_653), (45_904, 58_979)]:
        requests.send(output(request, [response]))
        same(len(next(answers).payload), response)
    requests.end()
    same(sizes(answers), [])


def empty_stream(stub):
    same(sizes(stub.FullDuplexCall(iter([]), timeout=LIMIT)), [])


def custom_metadata(stub):
    def echoed(at):
        texts = [(f"x-echo-{at}", text) for text in ("first", "second")]
        return texts + [(f"x-echo-{at}-bin", value) for value in BINARY]

    def check(call):
        for at, metadata in ("initial", call.initial_metadata()), ("trailing", call.trailing_metadata()):
            for key in (f"x-echo-{at}", f"x-echo-{at}-bin"):
                got = [value for name, value in metadata if name == key]
                same(got, [value for name, value in echoed(at) if name == key])

    sent = echoed("initial") + echoed("trailing")
    _, call = stub.UnaryCall.with_call(unary(1, 1), metadata=sent, timeout=LIMIT)
    check(call)
    call = stub.FullDuplexCall(iter([output(1, [1])]), metadata=sent, timeout=LIMIT)
    same(sizes(call), [1])
    check(call)


def status(stub, code, details):
    wanted = {"code": code, "message": details}
    ends_with(lambda: stub.UnaryCall(unary(1, 1, status=wanted), timeout=LIMIT), code, details)
    for responses in [1], []:
        answers = stub.FullDuplexCall(iter([output(1, responses, status=wanted)]), timeout=LIMIT)
        for size in responses:
            same(len(next(answers).payload), size)
        ends_with(lambda: next(answers), code, details)


def status_code_and_message(stub):
    status(stub, 2, "test status message")


def special_status_message(stub):
    status(stub, 2, SPECIAL)


def all_status_codes(stub):
    for code in range(1, 17):
        status(stub, code, f"code {code}")
    empty_unary(stub)


def unimplemented(stub, service):
    method = stub.method(service, "UnimplementedCall", "unary_unary", "Empty", "Empty")
    same(fails(lambda: method(message("Empty"), timeout=LIMIT)).code(), grpc.StatusCode.UNIMPLEMENTED)


def unimplemented_method(stub):
    unimplemented(stub, SERVICE)


def unimplemented_service(stub):
    unimplemented(stub, PACKAGE + ".UnimplementedService")


def cancel_after_begin(stub):
    requests, name = Fed(), next(NAMES)
    call = stub.StreamingInputCall.future(iter(requests), metadata=[(CALL, name), (HANG, "1")], timeout=LIMIT)
    awaits(stub, name, CALL_STARTED)
    call.cancel()
    same(call.code(), grpc.StatusCode.CANCELLED)
    awaits(stub, name, CALL_CANCELED)
    requests.end()


def cancel_after_first_response(stub):
    requests, name = Fed(), next(NAMES)
    call = stub.FullDuplexCall(iter(requests), metadata=[(CALL, name)], timeout=LIMIT)
    requests.send(output(27_182, [31_415], hang=True))
    same(len(next(call).payload), 31_415)
    call.cancel()
    same(fails(lambda: next(call)).code(), grpc.StatusCode.CANCELLED)
    awaits(stub, name, CALL_CANCELED)
    requests.end()


def timeout_on_sleeping_server(stub):
    name = next(NAMES)
    call = lambda: stub.UnaryCall(unary(27_182, 1, hang=True), metadata=[(CALL, name)], timeout=0.3)
    # A server of tonic's has a clock too, and calls it CANCELLED.
    code = fails(call).code()
    same(code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED) or code, True)
    awaits(stub, name, CALL_CANCELED)


def message_sizes(stub):
    for size in 0, 1, 4 * MIB - 1, 4 * MIB, 16 * MIB:
        same(len(stub.UnaryCall(unary(size, size), timeout=LIMIT).payload), size)


def headers_before_messages(stub):
    requests = Fed()
    answers = stub.FullDuplexCall(iter(requests), metadata=[("x-echo-initial", "seen")], timeout=LIMIT)
    # The server has no message to send before it gets one.
    same([value for key, value in answers.initial_metadata() if key == "x-echo-initial"], ["seen"])
    requests.send(output(1, [5]))
    requests.end()
    same(sizes(answers), [5])


def server_ends_first(stub):
    for code, details in (0, ""), (10, "enough"):
        requests = Fed()
        answers = stub.FullDuplexCall(iter(requests), timeout=LIMIT)
        requests.send(output(1, [7], status={"code": code, "message": details}))
        same(len(next(answers).payload), 7)
        # The client's side is still open.
        if code:
            ends_with(lambda: next(answers), code, details)
        else:
            same(sizes(answers), [])
        requests.end()


def half_close(stub):
    requests = Fed()
    answers = stub.FullDuplexCall(iter(requests), timeout=LIMIT)
    requests.send(message("OutputRequest", responses=[{"size": 100_000, "times": 20}]))
    requests.end()
    same(sizes(answers), [100_000] * 20)


def compressed_unary(stub):
    """Only for servers that can decompress."""
    call = stub.UnaryCall
    same(len(call(unary(271_828, 314_159), compression=grpc.Compression.Gzip, timeout=LIMIT).payload), 314_159)


CASES = [
    empty_unary,
    large_unary,
    client_streaming,
    server_streaming,
    ping_pong,
    empty_stream,
    custom_metadata,
    status_code_and_message,
    special_status_message,
    all_status_codes,
    unimplemented_method,
    unimplemented_service,
    cancel_after_begin,
    cancel_after_first_response,
    timeout_on_sleeping_server,
    message_sizes,
    headers_before_messages,
    server_ends_first,
    half_close,
    compressed_unary,
]


def run(stub, wanted):
    for case in CASES:
        if wanted and case.__name__ not in wanted:
            continue
        try:
            case(stub)
            print("ok", case.__name__, flush=True)
        except Exception as error:
            print("failed", case.__name__, " ".join(f"{type(error).__name__} {error}".split())[:600], flush=True)


def outcome(stub, kind):
    if kind == "stream":
        answers = stub.FullDuplexCall(iter([output(1, [1], hang=True)]), timeout=LIMIT)
        next(answers)
        print("first", flush=True)
        error = fails(lambda: next(answers))
    elif kind == "hang":
        error = fails(lambda: stub.UnaryCall(unary(1, 1, hang=True), timeout=LIMIT))
    else:
        metadata = [("x-large", "a" * 40_000)] if kind == "large-head" else []
        error = fails(lambda: stub.UnaryCall(unary(1, 1), metadata=metadata, timeout=LIMIT))
    causes = [value for key, value in error.trailing_metadata() or [] if key == "x-tunnel-error"]
    print("outcome", error.code().name, ",".join(causes) or "-", error.details(), flush=True)


def open_channel(address):
    ca = os.environ.get("INTEROP_CA")
    if ca is None:
        return grpc.insecure_channel(address, options=OPTIONS)
    with open(ca, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    return grpc.secure_channel(address, credentials, options=OPTIONS)


def main():
    _, _, address, what, *rest = sys.argv
    with open_channel(address) as channel:
        stub = Stub(channel)
        run(stub, rest) if what == "cases" else outcome(stub, *rest)


main()
