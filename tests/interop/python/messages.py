"""The messages of the test service, from the descriptors that the tests write to a file."""

import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "tunnel.interop.v1"
SERVICE = PACKAGE + ".TestService"
ECHO_INITIAL = ("x-echo-initial", "x-echo-initial-bin")
ECHO_TRAILING = ("x-echo-trailing", "x-echo-trailing-bin")
CALL = "x-call"
HANG = "x-hang"
# Messages of any size, and no proxy of the environment between two programs of one machine.
OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
]
CALL_STARTED, CALL_CANCELED = 1, 2


def load(path):
    """The message classes, by their names within the package."""
    files = descriptor_pb2.FileDescriptorSet()
    with open(path, "rb") as file:
        files.ParseFromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    classes = message_factory.GetMessageClassesForFiles([file.name for file in files.file], pool)
    return {name.removeprefix(PACKAGE + "."): made for name, made in classes.items()}


MESSAGES = load(sys.argv[1])
# Kind of call, request and response, for each method.
METHODS = {
    "EmptyCall": ("unary_unary", "Empty", "Empty"),
    "UnaryCall": ("unary_unary", "UnaryRequest", "UnaryResponse"),
    "StreamingInputCall": ("stream_unary", "InputRequest", "InputResponse"),
    "StreamingOutputCall": ("unary_stream", "OutputRequest", "OutputResponse"),
    "FullDuplexCall": ("stream_stream", "OutputRequest", "OutputResponse"),
    "AwaitCall": ("unary_unary", "AwaitCallRequest", "Empty"),
}


def message(kind, **fields):
    """A message of this kind."""
    return MESSAGES[kind](**fields)
