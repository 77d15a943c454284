"""The shape of the code: layers, homes of heavy packages, sizes of modules and functions."""

from __future__ import annotations

import ast
import graphlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# From the top down. Imports point down, or to a sibling as long as there is no cycle.
LAYERS = (
    "__init__ __main__ cli cli_evaluate cli_options cli_training",
    "averaging bank baselines benchmark clip_batches clip_pretrain few_shot hypernyms lessons "
    "picture pretrain probes resources scene_memory settings spelling tallies text_corpus "
    "text_pretrain text_teacher vocabulary zero_shot",
    "multiview objectives objectives.alignment objectives.clustering objectives.distillation "
    "objectives.masked objectives.teacher segment training",
    "model",
    "backbone datasets datasets.folder datasets.hdf5 datasets.modelnet40 datasets.named_meshes "
    "datasets.packs datasets.s3dis datasets.scannet datasets.scannet200 datasets.scanobjectnn "
    "datasets.scans datasets.semantickitti datasets.shapenetpart describe label_files propagation "
    "scatter size tokenizer",
    "appliances arrangements augment catalog clutter crops decoration electronics fixtures "
    "furnishing furniture grouping household io las materials merging meshes openings pcd "
    "photographs ply render scan_defects scan_simulation seating shapes shells storage superpoints "
    "synthetic tables tableware",
    "bank_files checkpoint compiling geometry labelling metrics moments text_store",
    "types version",
)
LEVEL = {name: level for level, row in enumerate(reversed(LAYERS)) for name in row.split()}

READERS = {"io", "las", "meshes", "pcd", "ply", "tables"}
HOMES = {
    "h5py": {"datasets.hdf5"},
    "open_clip": {"backbone"},
    "safetensors": {"checkpoint"},
    "plyfile": READERS,
    "laspy": READERS,
    "trimesh": READERS,
    "open3d": {"viewer.desktop"},
    "gradio": {"viewer", "app"},
    "plotly": {"viewer", "app"},
    "torch": {
        "averaging",
        "backbone",
        "checkpoint",
        "cli_training",  # sets how many threads it may use
        "clip_batches",
        "clip_pretrain",
        "hypernyms",
        "model",
        "multiview",
        "objectives",
        "pretrain",
        "resources",  # GPU memory
        "scatter",
        "scene_memory",
        "size",
        "text_pretrain",
        "text_teacher",
        "tokenizer",
        "training",
    },
}
"""Which modules may import a package; a name stands for the package below it too."""
LAZY = ("open_clip", "h5py", "gradio", "open3d")
"""What takes seconds to import: inside functions of the library only."""


def module_name(path: Path) -> str:
    """Return ``model`` for s4token/model.py, ``viewer.colors`` for viewer/colors.py, or ``app``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] == "s4token" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def parsed(path: Path) -> ast.Module:
    """Parse a module, with its relative imports made absolute."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            node.module = ".".join([*base, *([node.module] if node.module else [])])
            node.level = 0
    return tree


def sources(*folders: str) -> dict[str, ast.Module]:
    paths = [p for f in folders for p in sorted((ROOT / f).rglob("*.py"))]
    if "viewer" in folders:
        paths.append(ROOT / "app.py")
    return {module_name(p): parsed(p) for p in paths}


LIBRARY = sources("s4token")
EVERYTHING = LIBRARY | sources("viewer")


def imported(tree: ast.AST) -> set[str]:
    """Return the dotted names that a module imports, wherever the statement stands."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own_imports(tree: ast.AST) -> set[str]:
    """Return the library's modules that a module imports, as in ``LEVEL``."""
    found = set()
    for name in imported(tree):
        if name.split(".")[0] != "s4token":
            continue
        parts = name.split(".")[1:]
        while parts and ".".join(parts) not in LIBRARY:
            parts.pop()
        found.add(".".join(parts) or "__init__")
    return found


def at_top(tree: ast.Module) -> set[str]:
    """Return what is imported as the module is imported, types for checkers left out."""
    names, waiting = set(), list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
            continue
        names |= imported(node) if isinstance(node, ast.Import | ast.ImportFrom) else set()
        waiting.extend(ast.iter_child_nodes(node))
    return names


def packages(names: set[str]) -> set[str]:
    return {n.split(".")[0] for n in names}


def test_every_module_has_a_layer():
    new = sorted(set(LIBRARY) - set(LEVEL))
    assert not new, f"{', '.join(new)}: add to LAYERS in {Path(__file__).name}, where it belongs"


def test_imports_point_down():
    wrong = [
        f"{name} (layer {LEVEL[name]}) imports {other} (layer {LEVEL[other]})"
        for name, tree in LIBRARY.items()
        for other in own_imports(tree)
        if name in LEVEL and other in LEVEL and LEVEL[other] > LEVEL[name]
    ]
    assert not wrong, "imports must point down the list of layers: " + "; ".join(wrong)


def test_no_import_cycle():
    graph = {name: own_imports(tree) - {name} for name, tree in LIBRARY.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail("import cycle: " + " <- ".join(error.args[1]))


def test_the_library_knows_no_user_interface():
    for name, tree in LIBRARY.items():
        assert not packages(imported(tree)) & {"viewer", "app"}, name


@pytest.mark.parametrize("package", HOMES)
def test_home_of(package):
    users = {name for name, tree in EVERYTHING.items() if package in packages(imported(tree))}
    allowed = {u for u in users if any(u == h or u.startswith(h + ".") for h in HOMES[package])}
    assert users == allowed, f"{package} belongs in {sorted(HOMES[package])}"


@pytest.mark.parametrize("package", LAZY)
def test_slow_imports_stand_inside_functions(package):
    users = [name for name, tree in LIBRARY.items() if package in packages(at_top(tree))]
    assert not users, f"import {package} inside the function that needs it"


def test_viewer_uses_public_names_only():
    """What the viewer takes from the library, it takes from ``s4token`` itself."""
    public = set(ast.literal_eval(_all_names(LIBRARY["__init__"])))
    for name, tree in EVERYTHING.items():
        if name in LIBRARY:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "s4token":
                private = {a.name for a in node.names} - public
                assert not private, f"{name}: {private} are not in s4token.__all__"


def _all_names(tree: ast.Module) -> ast.expr:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return node.value
    raise AssertionError("s4token/__init__.py has no __all__")


def test_public_names_exist():
    import s4token

    assert [n for n in s4token.__all__ if not hasattr(s4token, n)] == []
    assert [n for n in s4token.__all__ if not getattr(s4token, n).__doc__] == []


@pytest.mark.parametrize("name", EVERYTHING)
def test_sizes(name):
    tree = EVERYTHING[name]
    lines = max((n.end_lineno for n in ast.walk(tree) if hasattr(n, "end_lineno")), default=0)
    assert lines <= 400, f"{name} has {lines} lines; split it"
    long = [
        f"{n.name} ({n.end_lineno - n.lineno + 1} lines)"
        for n in ast.walk(tree)
        if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
        and n.end_lineno is not None
        and n.end_lineno - n.lineno + 1 > 60
    ]
    assert not long, f"{name}: functions of at most 60 lines, not {', '.join(long)}"


def test_the_checks_see_what_they_check():
    """A rule that finds nothing in a bad module guards nothing."""
    bad = ast.parse(
        "import torch\nfrom s4token.cli import main\n"
        "class A:\n    import gradio\n"
        "def f():\n    from open_clip.model import CLIP\n"
    )
    assert packages(imported(bad)) == {"torch", "s4token", "gradio", "open_clip"}
    assert packages(at_top(bad)) == {"torch", "s4token", "gradio"}
    assert own_imports(bad) == {"cli"}
    assert own_imports(ast.parse("import s4token")) == {"__init__"}
    assert own_imports(ast.parse("from s4token import checkpoint")) == {"checkpoint"}
    assert "numpy" not in sys.stdlib_module_names and len(LIBRARY) > 20 and "app" in EVERYTHING


def test_printing_is_for_the_edge():
    for name, tree in LIBRARY.items():
        if name in ("cli", "cli_evaluate", "cli_training", "__main__"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
                to_file = any(k.arg == "file" for k in node.keywords)
                assert to_file, f"{name}, line {node.lineno}: library code prints nothing"


def test_no_global_seed():
    for name, tree in LIBRARY.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                call = ast.unparse(node.func)
                assert call not in ("np.random.seed", "random.seed"), f"{name}, {node.lineno}"
