"""Stylise one picture by TensorFlow's C API alone: no Python of TensorFlow, none of tf_style.

    python tests/c_api.py <folder of TensorFlow> <export> <photo> <painting> <result> <names>

The names are those of the signature's tensors, `operation:index`, as `saved_model_cli show` prints
them: content, style, alpha, result, with commas between.
"""

import ctypes
import sys
from ctypes import byref, c_char_p, c_int, c_int64, c_size_t, c_void_p

FLOAT, STRING, STRING_SIZE = 1, 7, 24


class Output(ctypes.Structure):
    """TF_Output: an operation and the number of its result."""

    _fields_ = [("operation", c_void_p), ("index", c_int)]


def library(folder):
    """The functions that are needed, from the libraries in TensorFlow's wheel."""
    framework = ctypes.CDLL(f"{folder}/libtensorflow_framework.so.2", ctypes.RTLD_GLOBAL)
    cc = ctypes.CDLL(f"{folder}/libtensorflow_cc.so.2", ctypes.RTLD_GLOBAL)
    pointer = c_void_p
    signatures = {
        "TF_NewStatus": (pointer, []),
        "TF_GetCode": (c_int, [pointer]),
        "TF_Message": (c_char_p, [pointer]),
        "TF_NewGraph": (pointer, []),
        "TF_NewSessionOptions": (pointer, []),
        "TF_LoadSessionFromSavedModel": (
            pointer, [pointer, pointer, c_char_p, ctypes.POINTER(c_char_p), c_int] + 3 * [pointer]
        ),
        "TF_GraphOperationByName": (pointer, [pointer, c_char_p]),
        "TF_AllocateTensor": (pointer, [c_int, ctypes.POINTER(c_int64), c_int, c_size_t]),
        "TF_TensorData": (pointer, [pointer]),
        "TF_StringInit": (None, [pointer]),
        "TF_StringCopy": (None, [pointer, c_char_p, c_size_t]),
        "TF_StringGetDataPointer": (pointer, [pointer]),
        "TF_StringGetSize": (c_size_t, [pointer]),
        "TF_SessionRun": (
            None, [pointer, pointer, pointer, pointer, c_int, pointer, pointer, c_int, pointer,
                   c_int, pointer, pointer]
        ),
    }  # fmt: skip
    found = {}
    for name, (result, arguments) in signatures.items():
        function = getattr(cc, name, None) or getattr(framework, name)
        function.restype, function.argtypes = result, arguments
        found[name.removeprefix("TF_")] = function
    return found


def main(folder, export, photo, painting, result, names):
    """Load the export, run it once, write the result; the exit code is the status's."""
    tf = library(folder)
    status, graph = tf["NewStatus"](), tf["NewGraph"]()

    def check():
        code = tf["GetCode"](status)
        if code:
            print(tf["Message"](status).decode(), file=sys.stderr)
            raise SystemExit(code)

    tags = (c_char_p * 1)(b"serve")
    options = tf["NewSessionOptions"]()
    session = tf["LoadSessionFromSavedModel"](
        options, None, export.encode(), tags, 1, graph, None, status
    )
    check()

    def tensor(value):
        dims = (c_int64 * 1)(1)
        if isinstance(value, float):
            made = tf["AllocateTensor"](FLOAT, dims, 1, 4)
            ctypes.cast(tf["TensorData"](made), ctypes.POINTER(ctypes.c_float))[0] = value
        else:
            made = tf["AllocateTensor"](STRING, dims, 1, STRING_SIZE)
            tf["StringInit"](tf["TensorData"](made))
            tf["StringCopy"](tf["TensorData"](made), value, len(value))
        return made

    places = []
    for name in names.split(","):
        operation, _, index = name.partition(":")
        places.append(Output(tf["GraphOperationByName"](graph, operation.encode()), int(index)))
    files = []
    for path in (photo, painting):
        with open(path, "rb") as file:
            files.append(file.read())
    values = (c_void_p * 3)(*map(tensor, (*files, 1.0)))
    outputs = (c_void_p * 1)()
    tf["SessionRun"](
        session, None, byref((Output * 3)(*places[:3])), values, 3,
        byref((Output * 1)(places[3])), outputs, 1, None, 0, None, status,
    )  # fmt: skip
    check()
    text = tf["TensorData"](outputs[0])
    data = ctypes.string_at(tf["StringGetDataPointer"](text), tf["StringGetSize"](text))
    with open(result, "wb") as file:
        file.write(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
