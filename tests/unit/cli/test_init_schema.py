"""`pyproxy init` and `pyproxy schema`."""

import json

from pyproxy.cli.main import main
from pyproxy.config.load import load
from pyproxy.config.schema import json_schema, reference


def test_the_starter_passes_check_and_can_be_explained(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert capsys.readouterr().out == "wrote pyproxy.yaml; serve it with: pyproxy run\n"
    assert main(["check"]) == 0
    assert main(["explain", "http://127.0.0.1:8080/docs/a"]) == 0
    assert "redirect   302 /a" in capsys.readouterr().out


def test_the_starter_is_commented_and_its_comments_are_sound(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["init"])
    text = (tmp_path / "pyproxy.yaml").read_text()
    assert text.count("#") > 10
    for commented in ("    # trusted_proxies", "    # timeouts", "# access_log"):
        key = commented.replace("# ", "")
        text = text.replace(commented, key)
    text = text.replace("\naccess_log: stdout\n", "\n")
    before, _, rest = text.partition("  # - name: api\n")
    lines = rest.splitlines()
    block = [line for line in lines if line.startswith("  #   ")]
    others = [line for line in lines if line not in block]
    shown = "\n".join(["  - name: api", *(line.replace("  #   ", "    ", 1) for line in block)])
    (tmp_path / "all.yaml").write_text(f"{before}{shown}\n" + "\n".join(others) + "\n")
    config = load(tmp_path / "all.yaml")
    assert [route.name for route in config.routes] == ["health", "docs", "api", "app"]
    assert config.routes[2].filters[0].options.use == "myfilters:Audit"


def test_init_never_overwrites(tmp_path, capsys):
    file = tmp_path / "site.yaml"
    file.write_text("mine")
    assert main(["init", str(file)]) == 1
    assert "exists already: it is left as it is" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_init_says_how_to_serve_another_file(tmp_path, capsys):
    file = tmp_path / "site.yaml"
    assert main(["init", str(file)]) == 0
    assert capsys.readouterr().out.endswith(f"pyproxy run -c {file}\n")


def test_init_tells_why_it_cannot_write(tmp_path, capsys):
    assert main(["init", str(tmp_path / "no" / "folder.yaml")]) == 1
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_init_prints_to_standard_output(capsys):
    assert main(["init", "-"]) == 0
    assert "listeners:" in capsys.readouterr().out


def test_schema_prints_json(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(json_schema()))


def test_schema_prints_the_reference(capsys):
    assert main(["schema", "--markdown"]) == 0
    assert capsys.readouterr().out == reference()
