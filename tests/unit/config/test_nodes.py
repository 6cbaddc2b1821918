"""YAML as a tree of nodes with their places."""

import pytest

from pyproxy.config.nodes import MAX_ALIASED, from_plain, join, plain, read_tree


def tree(text):
    root, faults = read_tree(text, "f.yaml")
    assert faults == []
    return root


def faults_of(text):
    return [str(fault) for fault in read_tree(text, "f.yaml")[1]]


def test_every_node_knows_its_line_column_and_path():
    root = tree("a:\n  - b: 1\n    c.d: [2, 3]\n")
    node = root.find("a", 0, "c.d", 1)
    assert (node.line, node.column, node.at) == (3, 14, 'a[0]."c.d"[1]')
    assert root.find("a", 0, "b").key == (2, 5)


def test_find_stops_at_the_last_node_that_exists():
    root = tree("a: {b: 1}")
    assert root.find("a", "x", "y").at == "a"
    assert root.find("a", 3).at == "a"


def test_plain_gives_the_builtins():
    text = "{i: 12, f: 1.5, t: true, off: off, n: ~, s: x, q: '12', l: [1_000, -.inf]}"
    assert plain(tree(text)) == {
        "i": 12,
        "f": 1.5,
        "t": True,
        "off": False,
        "n": None,
        "s": "x",
        "q": "12",
        "l": [1000, float("-inf")],
    }


def test_plain_keeps_as_text_what_old_yaml_would_make_a_number_or_a_date():
    assert plain(tree("[10:30, 010, 2024-01-01, =]")) == ["10:30", "010", "2024-01-01", "="]


def test_a_tree_of_plain_values_is_the_same_tree_without_places():
    value = {"a": [1, 2.5, True, None, "x"], "b": {}}
    root = from_plain(value, "config")
    assert plain(root) == value
    assert root.find("a", 1).at == "config.a[1]"
    assert root.find("a").line == 0


def test_paths_quote_what_is_not_a_word():
    assert join("a", "x-y") == "a.x-y"
    assert join("a", "x y") == 'a."x y"'
    assert join("", "x") == "x"


def test_a_duplicate_key_names_the_first():
    assert faults_of("a: 1\nb: 2\na: 3\n") == [
        'f.yaml:3:1: a: the key "a" is given twice; first on line 1; keep one of them'
    ]


def test_every_duplicate_is_told():
    assert len(faults_of("a: 1\na: 3\nb: {c: 1, c: 2}\n")) == 2


def test_a_syntax_error_has_a_place_and_a_cure():
    (fault,) = faults_of("a:\n\tb: 1\n")
    assert fault.startswith("f.yaml:2:1: not valid YAML: ")
    assert fault.endswith("indent with spaces, not with tabs")


def test_a_control_character_has_a_place():
    (fault,) = faults_of("a: 1\nb: x\x01y\n")
    assert fault.startswith("f.yaml:2:5: not valid YAML: the character #x01")


def test_a_second_document_is_refused():
    (fault,) = faults_of("a: 1\n---\nb: 1\n")
    assert "single document" in fault


def test_tags_make_no_objects():
    (fault,) = faults_of("a: !!python/object/apply:os.system [ls]\n")
    assert fault.startswith("f.yaml:1:4: a: the tag")
    assert "!!binary" not in fault
    assert faults_of("a: !env HOME")[0].startswith('f.yaml:1:4: a: the tag "!env" means nothing')


def test_aliases_and_merge_keys_work():
    root = tree("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\nsame: *b\n")
    assert plain(root)["use"] == {"y": 3, "x": 1}
    assert plain(root)["same"] == {"x": 1, "y": 2}


def test_an_alias_bomb_is_refused_without_being_expanded():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    root, faults = read_tree("\n".join(lines), "f.yaml")
    assert root is None
    assert f"aliases repeat more than {MAX_ALIASED} values" in faults[0].message


def test_an_alias_to_itself_is_refused():
    root, faults = read_tree("a: &a [*a]", "f.yaml")
    assert root is None
    assert "contains it" in faults[0].message


@pytest.mark.parametrize("depth", [100, 6000, 300_000])
@pytest.mark.parametrize("mark", ["[", "- ", "{a: "])
def test_deep_nesting_is_refused(mark, depth):
    root, faults = read_tree(
        mark * depth + "x" + {"[": "]", "- ": "", "{a: ": "}"}[mark] * depth, "f"
    )
    assert root is None
    assert "nested more than 64 deep" in faults[0].message


def test_an_empty_document_has_a_null_node():
    root, faults = read_tree("# nothing\n", "f.yaml")
    assert faults == []
    assert root.tag == "null"


def test_nodes_compare_equal_wherever_they_stand():
    assert tree("a: 1") == tree("\n\nb: 2")
    assert hash(tree("a: 1")) == hash(tree("b"))
