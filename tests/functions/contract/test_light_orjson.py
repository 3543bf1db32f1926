import subprocess
import sys

PROGRAM = """
import sys
from onnxlet.contract.light_orjson import import_orjson

before = set(sys.modules)
import_orjson()
import orjson

brought = sorted({"uuid", "dataclasses", "inspect"} & set(sys.modules) - before)
import dataclasses, uuid

assert dataclasses.dataclass and uuid.UUID(int=1).int == 1, "the stand-ins are gone"
print(brought, orjson.dumps({"a": [1.5, None, True, "x"], "b": 3e-5}).decode(), orjson.loads(b'{"a": [1, 2.5]}'))
"""


def test_orjson_works_without_the_modules_that_it_compares_types_with() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ('[] {"a":[1.5,null,true,"x"],"b":0.00003} {\'a\': [1, 2.5]}', "")
