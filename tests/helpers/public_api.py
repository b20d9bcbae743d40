"""The public API as text, read from the source.

Public names are those that a package exports, such as `dlp.modules`. For packages without exports,
such as `dlp.evaluation`, they are the names that the pages in docs/api list. The options of the
commands have their own file.
"""

import re
from pathlib import Path

import griffe

ROOT = Path(__file__).parents[2]
#: Double-underscore methods that callers use through syntax.
SYNTAX = ("__call__", "__getitem__", "__iter__", "__len__")
#: Methods that Lightning calls. Without one, the base class has a default.
HOOKS = re.compile(
    r"on_\w+|setup|teardown|(load_)?state_dict|configure_\w+|\w+_(step|dataloader)"
)
STARS = {
    griffe.ParameterKind.var_positional: "*",
    griffe.ParameterKind.var_keyword: "**",
}
WIDTH = 100


def load_source():
    """Read the package without importing it."""
    return griffe.load("dlp", search_paths=[ROOT / "src"], try_relative_path=False)


def listed_names(text):
    """Return the modules and names that the API pages list, as ``::: dlp.modules.heads``."""
    return re.findall(r"^::: (\S+)$", text, re.M)


def api_pages():
    """Return the text of the API pages."""
    paths = sorted(ROOT.glob("docs/api/*.md"))
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def public_objects(package, pages):
    """Return the public functions, classes and constants, by where they are defined.

    Args:
        package: The package as read by griffe.
        pages: Text of the pages of the API.
    """
    objects = {}
    for module in packages(package):
        for name in module.exports or []:
            target = module.members[name].final_target
            objects[target.path] = target
    for path in listed_names(pages):
        room = path.split(".")[1]
        listed = package[path.removeprefix("dlp.")]
        if not listed.is_module:
            objects[path] = listed
        elif room != "commands" and not package[room].exports:
            for name in public_members(listed):
                objects[f"{path}.{name}"] = listed.members[name]
    return dict(sorted(objects.items()))


def packages(module):
    """Return a package and its subpackages."""
    found = [module]
    for member in module.members.values():
        if not member.is_alias and member.is_module and member.is_init_module:
            found += packages(member)
    return found


def exports(package):
    """Return the names that packages export."""
    names = set()
    for module in packages(package):
        names.update(module.exports or [])
    return names


def describe(package, pages):
    """Return the names that packages export, then each public object with its signature."""
    lines = []
    for module in packages(package):
        lines += [
            f"from {module.path} import {name}" for name in sorted(module.exports or [])
        ]
    lines.sort()
    module = ""
    for member in public_objects(package, pages).values():
        if member.module.path != module:
            module = member.module.path
            lines += ["", f"# {module}"]
        lines += signature(member)
    return "\n".join(lines)


def public_members(parent):
    """Return the names that a module or class defines, without private names and hooks."""
    names = []
    for name, member in parent.members.items():
        if not member.is_alias and not member.is_module and is_public(name):
            names.append(name)
    return names


def is_public(name):
    """Return True for names without an underscore and for operators, but not for hooks."""
    return name in SYNTAX or not (name.startswith("_") or HOOKS.fullmatch(name))


def signature(member, prefix=""):
    """Return the lines of a function, of an attribute, or of a class and its members."""
    path = f"{prefix}{member.name}"
    if member.is_function:
        return call(f"def {path}", member, f" -> {member.returns}")
    if member.is_attribute and member.annotation is None:
        return [path]
    if member.is_attribute:
        return [f"{path}: {member.annotation}"]
    lines = [f"class {path}({', '.join(map(str, member.bases))})"]
    arguments = set()
    if "__init__" in member.members:
        start = member.members["__init__"]
        arguments = {parameter.name for parameter in start.parameters}
        lines += call(f"new {path}", start)
    for name in sorted(set(public_members(member)) - arguments):
        lines += signature(member.members[name], f"{path}.")
    return lines


def call(start, function, end=""):
    """Return a function with its parameters on one line, or on one each if that is too long."""
    texts = []
    is_keyword = False
    for parameter in function.parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and not is_keyword:
            texts.append("*")
            is_keyword = True
        texts.append(parameter_text(parameter))
    line = f"{start}({', '.join(texts)}){end}"
    if len(line) <= WIDTH:
        return [line]
    return [f"{start}(", *(f"    {text}," for text in texts), f"){end}"]


def parameter_text(parameter):
    """Return a parameter as its function declares it."""
    text = STARS.get(parameter.kind, "") + parameter.name
    if parameter.annotation is not None:
        text += f": {parameter.annotation}"
    if parameter.default is not None and parameter.kind not in STARS:
        text += f" = {parameter.default}"
    return text


def breaking_changes(old, new, pages):
    """Return the changes that break callers, as a sentence for each path of a name.

    Args:
        old: Package of the last release.
        new: Package as it is now.
        pages: Text of the pages of the API of the last release.
    """
    public = public_objects(old, pages)
    changes = {}
    for change in griffe.find_breaking_changes(old, new):
        path = change.obj.path.removesuffix(".__init__")
        parents = [parent for parent in public if f"{path}.".startswith(f"{parent}.")]
        if (
            parents
            and is_public(path.rpartition(".")[2])
            and not is_harmless(change, new)
        ):
            changes[path] = f"{path}: {change.kind.value}"
    return changes


def is_harmless(change, new):
    """Return True for a new value, an inherited member, or a name from another file."""
    member = change.obj
    if change.kind is griffe.BreakageKind.ATTRIBUTE_CHANGED_VALUE:
        return True
    if member.is_alias and member.inherited:
        return True
    is_removed = change.kind is griffe.BreakageKind.OBJECT_REMOVED
    return is_removed and member.parent.is_module and member.name in exports(new)


def breaking_section(changelog, version):
    """Return the lines under Breaking in the versions after the given one."""
    later = changelog.partition(f"\n## [{version}]")[0]
    return "\n".join(re.findall(r"^### Breaking\n(.*?)(?=^##|\Z)", later, re.M | re.S))
