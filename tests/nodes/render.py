"""Renders what a node is told at its first boot, as Heat would: enough of Heat's functions for that and no more.

    render.py CONFIG_HEAT DISTRIBUTION master|agent PARAMETERS_JSON OUTPUT_DIRECTORY

The parameters are those of the root template; "attributes" among them stand for what Heat knows of resources.
Writes `user-data`, and below `files` every file that the user data would lay down, and prints the sizes.
"""

import json
import pathlib
import sys
import urllib.parse

import yaml


class Template:
    """One template with values for its parameters, and the attributes its resources show."""

    def __init__(self, files, name, values, attributes):
        self.files, self.name, self.attributes = files, name, attributes
        self.template = yaml.safe_load(files[name])
        self.parameters = {
            parameter: values[parameter] if parameter in values else declared["default"]
            for parameter, declared in self.template["parameters"].items()
        }
        self.parameters.update({"OS::stack_name": "stack"})

    def condition(self, name):
        return self.value(self.template["conditions"][name])

    def value(self, source):
        if isinstance(source, list):
            return [self.value(entry) for entry in source]
        if not isinstance(source, dict):
            return source
        if len(source) == 1:
            ((function, argument),) = source.items()
            if hasattr(self, f"do_{function}"):
                return getattr(self, f"do_{function}")(argument)
        return {key: self.value(entry) for key, entry in source.items()}

    def walk(self, value, path):
        for step in self.value(path):
            value = value[step]
        return value

    def do_get_param(self, argument):
        if isinstance(argument, list):
            return self.walk(self.parameters[argument[0]], argument[1:])
        return self.parameters[argument]

    def do_get_attr(self, argument):
        return self.walk(self.attributes[argument[0]], argument[1:])

    def do_get_resource(self, argument):
        return argument

    def do_get_file(self, argument):
        return self.files[argument]

    def do_if(self, argument):
        condition, yes, no = argument
        return self.value(yes if self.condition(condition) else no)

    def do_equals(self, argument):
        one, other = self.value(argument)
        return one == other

    def do_map_merge(self, argument):
        merged = {}
        for entry in self.value(argument):
            merged.update(entry)
        return merged

    def do_list_join(self, argument):
        delimiter, entries = self.value(argument)
        return delimiter.join(entries)

    def do_str_replace(self, argument):
        """Longest first, and nothing that was put in is looked at again: as heat.engine.hot.functions has it."""
        values = {
            key: entry if isinstance(entry, str) else json.dumps(entry)
            for key, entry in self.value(argument["params"]).items()
        }

        def replace(texts, keys):
            if not keys:
                return texts
            return [values[keys[0]].join(replace(text.split(keys[0]), keys[1:])) for text in texts]

        keys = sorted(sorted(values), key=len, reverse=True)
        return replace([self.value(argument["template"])], keys)[0]


def template_set(directory, distribution):
    files = {}
    for part in ("common", distribution):
        for path in sorted((directory / part).rglob("*")):
            if path.is_file():
                files[str(path.relative_to(directory / part))] = path.read_text(encoding="utf-8")
    return files


def node(files, role, values):
    attributes = values.pop("attributes")
    root = Template(files, "mesos.yaml", values, attributes)
    group = root.template["resources"][{"master": "masters", "agent": "agents"}[role]]["properties"]
    told = root.value(group["resource_def"]["properties"])
    told = {key: 0 if entry == "%index%" else entry for key, entry in told.items()}
    member = Template(files, f"{role}.yaml", told, attributes)
    told = member.value(member.template["resources"]["config"]["properties"])
    return Template(files, "user_data.yaml", told, {})


def cloud_config(template):
    config = template.value(template.template["resources"]["config"]["properties"]["cloud_config"])
    laid_down = {entry["path"]: entry["content"] for entry in config["write_files"]}
    return "#cloud-config\n" + yaml.safe_dump(config), laid_down


def ignition(template):
    text = template.value(template.template["resources"]["config"]["properties"]["config"])
    laid_down = {}
    for entry in json.loads(text)["storage"]["files"]:
        kind, data = entry["contents"]["source"].split(",", 1)
        assert kind == "data:", kind
        laid_down[entry["path"]] = urllib.parse.unquote(data)
    return text, laid_down


def main():
    directory, distribution, role, parameters, output = sys.argv[1:]
    files = template_set(pathlib.Path(directory), distribution)
    template = node(files, role, json.loads(parameters))
    text, laid_down = (ignition if distribution == "coreos" else cloud_config)(template)
    output = pathlib.Path(output)
    for path, content in laid_down.items():
        path = output / "files" / path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    for script in ("json", "tls", "node", "platform", "setup"):
        expected = files[f"scripts/{role if script == 'setup' else script}.sh"]
        assert laid_down[f"/etc/mesos-bay/{script}.sh"] == expected, f"{script}.sh does not arrive as it is"
    (output / "user-data").write_text(text, encoding="utf-8")
    print(len(text.encode()), "bytes")


if __name__ == "__main__":
    main()
