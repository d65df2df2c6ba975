"""The test service with grpcio.

    server.py DESCRIPTORS

It prints `port N` when it serves, and ends when its standard input does.
"""

import sys
import threading
from concurrent import futures

import grpc
from messages import (
    CALL,
    CALL_CANCELED,
    ECHO_INITIAL,
    ECHO_TRAILING,
    HANG,
    MESSAGES,
    METHODS,
    OPTIONS,
    SERVICE,
    message,
)

CODES = {code.value[0]: code for code in grpc.StatusCode}


class Calls:
    """How far the calls with a name have come."""

    def __init__(self):
        self._states = {}
        self._changed = threading.Condition()

    def begin(self, name):
        with self._changed:
            self._states.setdefault(name, "running")
            self._changed.notify_all()

    def end(self, name, state):
        with self._changed:
            self._states[name] = state
            self._changed.notify_all()

    def wait(self, name, is_canceled, timeout):
        def done():
            state = self._states.get(name)
            return state == "canceled" if is_canceled else state is not None

        with self._changed:
            return self._changed.wait_for(done, timeout)


CALLS = Calls()


class Call:
    """A handler that runs."""

    def __init__(self, context):
        sent = context.invocation_metadata()
        self.context = context
        self.ended = threading.Event()
        self.is_finished = False
        self.name = next((value for key, value in sent if key == CALL), None)
        if not context.add_callback(self._end):
            self._end()
        CALLS.begin(self.name)
        context.set_trailing_metadata([pair for pair in sent if pair[0] in ECHO_TRAILING])
        context.send_initial_metadata([pair for pair in sent if pair[0] in ECHO_INITIAL])

    def _end(self):
        CALLS.end(self.name, "finished" if self.is_finished else "canceled")
        self.ended.set()

    def finish(self, status=None):
        self.is_finished = True
        if status is not None and status.code != 0:
            self.context.abort(CODES[status.code], status.message)


def answers(call, request):
    for wanted in request.responses:
        for _ in range(max(wanted.times, 1)):
            yield message("OutputResponse", payload=bytes(wanted.size))


def empty(request, context):
    Call(context).finish()
    return message("Empty")


def unary(request, context):
    call = Call(context)
    if request.hang:
        call.ended.wait()
    call.finish(request.status if request.HasField("status") else None)
    return message("UnaryResponse", payload=bytes(request.response_size))


def streaming_input(requests, context):
    call = Call(context)
    size = sum(len(request.payload) for request in requests)
    # When the client has left, grpcio may say that its last message has come.
    if any(key == HANG for key, _ in context.invocation_metadata()):
        call.ended.wait()
    call.finish()
    return message("InputResponse", size=size)


def streaming_output(request, context):
    yield from full_duplex(iter([request]), context)


def full_duplex(requests, context):
    call = Call(context)
    hangs = False
    for request in requests:
        yield from answers(call, request)
        hangs |= request.hang
        if request.HasField("status"):
            call.finish(request.status)
            return
    if hangs:
        call.ended.wait()
    call.finish()


def await_call(request, context):
    if not CALLS.wait(request.call, request.state == CALL_CANCELED, 30):
        context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the call does not come to this state")
    return message("Empty")


HANDLERS = {
    "EmptyCall": empty,
    "UnaryCall": unary,
    "StreamingInputCall": streaming_input,
    "StreamingOutputCall": streaming_output,
    "FullDuplexCall": full_duplex,
    "AwaitCall": await_call,
}


def handler(name):
    kind, request, response = METHODS[name]
    make = getattr(grpc, kind + "_rpc_method_handler")
    return make(
        HANDLERS[name],
        request_deserializer=MESSAGES[request].FromString,
        response_serializer=MESSAGES[response].SerializeToString,
    )


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=64), options=OPTIONS)
    handlers = {name: handler(name) for name in METHODS}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"port {port}", flush=True)
    sys.stdin.read()
    server.stop(0)


main()
