"""The libraries as `pyproxy run` imports them work like any others."""

import subprocess
import sys

LEAN = "import re, sys\nfrom pyproxy.cli.lean import import_libraries\n"


def run(code):
    """Each in a process of its own: here the libraries are loaded already."""
    ran = subprocess.run([sys.executable, "-c", LEAN + code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def test_nothing_stays_replaced():
    code = "was = re.compile\nimport_libraries()\nprint(re.compile is was)\n"
    code += "print(sys.modules.get('typing_extensions', 0))\nimport typing_extensions"
    assert run(code) == ["True", "0"]


def test_nothing_stays_replaced_when_a_library_is_missing():
    code = "was = re.compile\nsys.modules['yaml'] = None\n"
    code += "try:\n    import_libraries()\nexcept ImportError:\n    print(re.compile is was)\n"
    code += "import typing_extensions"
    assert run(code) == ["True"]


def test_what_is_loaded_already_stays():
    code = "import typing_extensions as t\nimport_libraries()\n"
    assert run(code + "print(sys.modules['typing_extensions'] is t)") == ["True"]


def test_no_pattern_of_the_reader_in_python_is_compiled():
    code = "import_libraries()\nimport yaml\n"
    code += "print(type(yaml.reader.Reader.NON_PRINTABLE) is re.Pattern)"
    assert run(code) == ["False"]


def test_a_pattern_serves_wherever_a_compiled_one_does():
    code = "import_libraries()\nimport copy, pickle, yaml\n"
    code += "pattern = yaml.reader.Reader.NON_PRINTABLE\n"
    code += "print(isinstance(pattern, re.Pattern), bool(re.search(pattern, '\\x07')))\n"
    code += "for copied in (copy.copy(pattern), copy.deepcopy(pattern),\n"
    code += "               pickle.loads(pickle.dumps(pattern)), re.compile(pattern.pattern)):\n"
    code += "    print(type(copied) is re.Pattern and copied.flags == pattern.flags)"
    assert run(code) == ["True"] * 6


def test_yaml_reads_as_ever():
    text = "[1, 0x1f, 1.5, .inf, yes, ~, 2024-01-02, 2024-01-02 03:04:05, a, {<<: {b: 1}}]"
    code = f"import yaml\ntext = {text!r}\n"
    code += "print([yaml.load(text, x) for x in (yaml.CSafeLoader, yaml.SafeLoader)])\n"
    code += "try:\n    yaml.safe_load('\\x07')\nexcept yaml.reader.ReaderError:\n    print('no')\n"
    assert run(f"import_libraries()\n{code}") == run(code)


def test_msgspec_takes_the_types_of_typing_extensions():
    code = "import_libraries()\nimport msgspec, typing_extensions as t\n"
    code += "class D(t.TypedDict):\n    a: int\n    b: t.NotRequired[t.Annotated[int, 1]]\n"
    code += "print(msgspec.convert({'a': 1}, D)['a'])\n"
    code += (
        "try:\n    msgspec.convert({'b': 1}, D)\nexcept msgspec.ValidationError:\n    print('no')"
    )
    assert run(code) == ["1", "no"]
